"""JSON of engines and of their benchmarks: answers with metrics, bench results, answer files of
evaluations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from speclight.engines.completion import SpeculationSteps
from speclight.engines.reports.prometheus import request_counts
from speclight.engines.reports.record import SpeculationCounts, SpeculationReport, counts_of_steps
from speclight.errors import InvalidInput

Json = Mapping[str, Any]


def read_documents(documents: Sequence[Json]) -> list[SpeculationReport]:
    """What JSON objects say, one after the other. Raises InvalidInput if any is of no known kind."""
    found: list[SpeculationReport] = []
    for number, document in enumerate(documents, start=1):
        reports = next((list(read(document)) for is_kind, read in KINDS if is_kind(document)), None)
        if reports is None:
            raise InvalidInput(
                f"object {number} has the keys {', '.join(sorted(map(str, document))[:6])}, expected a "
                "completion with "
                "metrics, a bench result or an answer file of an evaluation"
            )
        found += reports
    return _joined(found)


def _joined(reports: list[SpeculationReport]) -> list[SpeculationReport]:
    """Requests of one source as one report: single ones say little."""
    requests = [report for report in reports if report.label == "request" and report.counts is not None]
    if len(requests) < 2:
        return reports
    counts = [report.counts for report in requests if report.counts is not None]
    longest = max(len(count.accepted_at) for count in counts)
    padded = [count.accepted_at + (0,) * (longest - len(count.accepted_at)) for count in counts]
    total = SpeculationCounts(
        sum(count.drafts for count in counts),
        sum(count.accepted for count in counts),
        _sum_if_known([count.drafted for count in counts]),
        tuple(map(sum, zip(*padded, strict=True))),
        _sum_if_known([count.generated for count in counts]),
    )
    first = requests[0]
    label = f"{len(requests)} requests"
    joined = SpeculationReport(first.engine, first.source, label, total, cautions=first.cautions)
    return [report for report in reports if report not in requests] + [joined]


def _sum_if_known(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _vllm_request(document: Json) -> Iterator[SpeculationReport]:
    stated = document["metrics"]["speculative_decoding"]
    generated = (document.get("usage") or {}).get("completion_tokens")
    accepted, drafted = stated.get("per_step_accepted"), stated.get("per_step_drafted")
    if accepted and drafted:
        counts = counts_of_steps(SpeculationSteps(tuple(accepted), tuple(drafted)), generated)
    else:
        summary = request_counts(stated)
        counts = SpeculationCounts(
            summary.drafts, summary.accepted, summary.drafted, summary.accepted_at, generated
        )
    yield SpeculationReport("vllm", "metrics of a request", "request", counts)


def _vllm_bench(document: Json) -> Iterator[SpeculationReport]:
    drafts = document["spec_decode_num_drafts"]
    shares = document.get("spec_decode_per_position_acceptance_rates") or ()
    counts = SpeculationCounts(
        int(drafts),
        int(document["spec_decode_accepted_tokens"]),
        int(document["spec_decode_draft_tokens"]),
        _exact(shares, int(drafts), int(document["spec_decode_accepted_tokens"])),
        document.get("total_output_tokens"),
    )
    yield SpeculationReport(
        "vllm",
        "vllm bench serve",
        counts=counts,
        stated=document.get("spec_decode_acceptance_length"),
        tokens_per_second=document.get("output_throughput"),
    )


def _exact(shares: Sequence[float], drafts: int, accepted: int) -> tuple[int, ...]:
    at = tuple(round(share * drafts) for share in shares)
    return at if sum(at) == accepted else ()


def _sglang_answer(document: Json) -> Iterator[SpeculationReport]:
    about = document["meta_info"]
    steps, generated = about.get("spec_verify_ct"), about.get("completion_tokens")
    accepted = about.get("spec_num_correct_drafts", about.get("spec_accepted_drafts"))
    drafted = about.get("spec_num_proposed_drafts", about.get("spec_proposed_drafts"))
    if not isinstance(steps, int) or (accepted is None and generated is None):
        raise InvalidInput(
            "meta_info holds no spec_verify_ct with counts, expected an answer under speculation"
        )
    if accepted is None:
        accepted = max(0, int(generated) - steps)
    counts = SpeculationCounts(steps, int(accepted), drafted, generated=generated)
    yield SpeculationReport(
        "sglang", "meta_info of a request", "request", counts, stated=about.get("spec_accept_length")
    )


def _sglang_bench(document: Json) -> Iterator[SpeculationReport]:
    label = (
        f"batch {document['batch_size']}, steps {document['steps']}, topk {document['topk']}, "
        f"P = {document['num_draft_tokens']}"
    )
    yield SpeculationReport(
        "sglang",
        "bench_speculative",
        label,
        stated=float(document["acc_length"]),
        tokens_per_second=float(document["speed"]),
        step_seconds=float(document["step_time"]),
        cautions=("speed is of the fastest fifth of steps, by its own definition",),
    )


def _llama_cpp_answer(document: Json) -> Iterator[SpeculationReport]:
    timings = document["timings"]
    drafted, accepted = timings.get("draft_n"), timings.get("draft_n_accepted")
    generated = timings.get("predicted_n")
    if drafted is None or accepted is None:
        raise InvalidInput(
            "timings hold no draft_n, expected an answer of a llama.cpp server that speculates"
        )
    steps = max(1, generated - accepted)
    yield SpeculationReport(
        "llamacpp",
        "timings of a request",
        stated=generated / steps,
        tokens_per_second=timings.get("predicted_per_second"),
        cautions=(
            f"{accepted} of {drafted} draft tokens accepted; over all steps, those without a draft too",
        ),
    )


def _eagle_answers(document: Json) -> Iterator[SpeculationReport]:
    """EAGLE: `idxs` is the last step counted from 0. Spec-Bench: `accept_lengths` of each step, or step
    counts.
    """
    tokens = steps = 0
    lengths: list[int] = []
    for choice in document["choices"]:
        tokens += sum(choice["new_tokens"])
        if "accept_lengths" in choice:
            lengths += [int(length) for length in choice["accept_lengths"]]
        steps += sum(choice.get("decoding_steps") or [index + 1 for index in choice.get("idxs", ())])
    if lengths:
        accepted = sum(lengths) - len(lengths)
        longest = max(lengths) - 1
        at = tuple(sum(length > place + 1 for length in lengths) for place in range(longest))
        counts = SpeculationCounts(len(lengths), accepted, accepted_at=at, generated=sum(lengths))
    else:
        counts = SpeculationCounts(steps, max(0, tokens - steps), generated=tokens)
    yield SpeculationReport("eagle", "answer file", "request", counts)


def _imported(document: Json) -> Iterator[SpeculationReport]:
    """What `speclight import --json` wrote."""
    try:
        yield from [_imported_report(report) for report in document["reports"]]
    except (LookupError, TypeError) as error:
        raise InvalidInput(
            f"a report of `speclight import` lacks what this version reads ({error!r}); import again"
        ) from error


def _imported_report(report: Json) -> SpeculationReport:
    drafts, counts = report.get("drafts"), None
    if drafts is not None:
        counts = SpeculationCounts(
            drafts,
            report["accepted_tokens"],
            report["drafted_tokens"],
            tuple(round(share * drafts) for share in report["survival"]),
            report["generated_tokens"],
        )
    return SpeculationReport(
        report["engine"],
        report["source"],
        report["label"],
        counts,
        report["stated_tokens_per_draft"],
        report["tokens_per_second"],
        report["step_seconds"],
        tuple(report["cautions"]),
    )


def _has(*keys: str) -> Callable[[Json], bool]:
    return lambda document: all(key in document for key in keys)


def _is_request(document: Json) -> bool:
    return bool((document.get("metrics") or {}).get("speculative_decoding"))


KINDS: tuple[tuple[Callable[[Json], bool], Callable[[Json], Iterator[SpeculationReport]]], ...] = (
    (_is_request, _vllm_request),
    (_has("spec_decode_num_drafts"), _vllm_bench),
    (_has("meta_info"), _sglang_answer),
    (_has("acc_length", "step_time", "num_draft_tokens"), _sglang_bench),
    (_has("timings"), _llama_cpp_answer),
    (_has("question_id", "choices"), _eagle_answers),
    (_has("schema", "reports"), _imported),
)
