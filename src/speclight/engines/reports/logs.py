"""Log lines of engines: vLLM of three ages, SGLang, llama.cpp old and new."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from speclight.engines.reports.record import SpeculationCounts, SpeculationReport
from speclight.errors import InvalidInput

NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
# Half of the last place printed, and a little more for the way it was rounded.
HALF_OF_MEAN, HALF_OF_RATE = 0.0051, 0.00051
VLLM_LINE = re.compile(
    r"SpecDecoding metrics: .*?Mean acceptance length: " + NUMBER + r".*?Accepted: ([0-9]+) tokens, "
    r"Drafted: ([0-9]+) tokens, Per-position acceptance rate: ([0-9., ]+?)(?:, Avg Draft|$|\n)"
)
VLLM_V0_LINE = re.compile(
    r"Speculative metrics: Draft acceptance rate: "
    + NUMBER
    + r", System efficiency: "
    + NUMBER
    + r", Number of "
    r"speculative tokens: ([0-9]+), Number of accepted tokens: ([0-9]+), Number of draft tokens: ([0-9]+), "
    r"Number of emitted tokens: ([0-9]+)"
)
SGLANG_LINE = re.compile(
    r"Decode batch.*?accept len: " + NUMBER + r"(?:, accept rate: " + NUMBER + r")?.*?gen throughput "
    r"\(token/s\): " + NUMBER
)
LLAMA_CPP_REQUEST = re.compile(
    r"draft acceptance(?: rate)? = " + NUMBER + r" \(\s*([0-9]+) accepted /\s*([0-9]+) generated\)"
    r"(?:, mean (?:acceptance length|len) =\s*" + NUMBER + r")?"
)
LLAMA_CPP_STATISTICS = re.compile(
    r"statistics\s+(\S+): .*?#gen drafts =\s*([0-9]+), #acc drafts =\s*([0-9]+), #gen tokens =\s*([0-9]+), "
    r"#acc tokens =\s*([0-9]+)(?:, #mean acc len =\s*" + NUMBER + r", #acc rate/pos = \(([0-9., ]*)\))?"
)


def read_log(text: str) -> list[SpeculationReport]:
    """What the lines of a server's log say. Raises InvalidInput if none is known."""
    readers: tuple[Callable[[str], Iterator[SpeculationReport]], ...] = (_vllm, _vllm_v0, _sglang, _llama_cpp)
    found = [report for reader in readers for report in reader(text)]
    if not found:
        raise InvalidInput(
            "no line about speculative decoding was found, expected the log of vLLM, SGLang or llama.cpp at "
            "their usual level"
        )
    return found


def _vllm(text: str) -> Iterator[SpeculationReport]:
    """Windows of ten seconds; drafts follow from accepted / (mean - 1), or from the first position's rate."""
    windows = VLLM_LINE.findall(text)
    if not windows:
        return
    drafts = accepted = drafted = 0
    survivors: list[float] = []
    for mean, own_accepted, own_drafted, rates in windows:
        shares = [float(rate) for rate in rates.split(",") if rate.strip()]
        own_drafts = _drafts(float(mean), int(own_accepted), int(own_drafted), shares)
        drafts += own_drafts
        accepted, drafted = accepted + int(own_accepted), drafted + int(own_drafted)
        survivors += [0.0] * (len(shares) - len(survivors))
        for place, share in enumerate(shares):
            survivors[place] += share * own_drafts
    at = tuple(round(count) for count in survivors)
    rounded = "drafts are worked out from figures printed to two or three places"
    counts = SpeculationCounts(drafts, accepted, drafted, at if sum(at) == accepted else ())
    yield SpeculationReport(
        "vllm",
        f"log, {len(windows)} windows",
        counts=counts,
        cautions=(rounded, "log lines hold no generated tokens"),
    )


def _drafts(mean: float, accepted: int, drafted: int, shares: list[float]) -> int:
    """Drafts of one window: the fewest that the printed figures, rounded as they are, allow."""
    fewest = -(-drafted // max(1, len(shares)))
    for drafts in range(max(1, fewest), max(1, drafted) + 1):
        if abs(1.0 + accepted / drafts - mean) <= HALF_OF_MEAN and all(
            abs(share * drafts - round(share * drafts)) <= HALF_OF_RATE * drafts for share in shares
        ):
            return drafts
    return fewest


def _vllm_v0(text: str) -> Iterator[SpeculationReport]:
    lines = VLLM_V0_LINE.findall(text)
    if lines:
        rate, efficiency, longest, accepted, drafted, emitted = lines[-1]
        del rate, efficiency
        drafts = int(drafted) // int(longest)
        yield SpeculationReport(
            "vllm",
            "log of version 0, cumulative",
            f"K = {longest}",
            SpeculationCounts(drafts, int(accepted), int(drafted), generated=None),
            stated=int(emitted) / drafts if drafts else None,
            cautions=("a step whose drafts are all accepted emits one more token there",),
        )


def _sglang(text: str) -> Iterator[SpeculationReport]:
    lines = SGLANG_LINE.findall(text)
    if lines:
        lengths = [float(length) for length, _, _ in lines]
        speeds = [float(speed) for _, _, speed in lines]
        yield SpeculationReport(
            "sglang",
            f"log, {len(lines)} windows",
            stated=sum(lengths) / len(lengths),
            tokens_per_second=sum(speeds) / len(speeds),
            cautions=("plain mean over windows; the accept rate has had three definitions and is not read",),
        )


def _llama_cpp(text: str) -> Iterator[SpeculationReport]:
    for number, (_, accepted, drafted, mean) in enumerate(LLAMA_CPP_REQUEST.findall(text)):
        yield SpeculationReport(
            "llamacpp",
            "log of a request",
            f"request {number + 1}",
            stated=float(mean) if mean else None,
            cautions=(f"{accepted} of {drafted} draft tokens accepted; it does not say how many drafts",),
        )
    totals = {match[0]: match for match in LLAMA_CPP_STATISTICS.findall(text)}  # the last of each drafter
    for name, drafts, _, drafted, accepted, mean, rates in totals.values():
        shares = [float(rate) for rate in rates.split(",") if rate.strip()]
        at = tuple(round(share * int(drafts)) for share in shares)
        yield SpeculationReport(
            "llamacpp",
            "log, statistics of the server",
            name,
            SpeculationCounts(
                int(drafts), int(accepted), int(drafted), at if sum(at) == int(accepted) else ()
            ),
            stated=float(mean) if mean else None,
            cautions=("cumulative since the server started",),
        )
