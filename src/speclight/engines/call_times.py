"""Call times out of what engines' own benchmarks write: a curve for every batch size.

An engine times whole steps, so its curves hold more than a target call alone; `cautions` say what. Contexts
are 0 where a file does not tell them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from speclight.errors import InvalidInput
from speclight.measure.checksums import digest
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.latency.record import KIND, LatencyRecord, read_latency, round_name, round_table
from speclight.measure.store import recording

LARGEST_BYTES = 64 * 2**20
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TimedStep:
    """One step of an engine. nodes: scored for each text, the root included."""

    batch_size: int
    context_tokens: int
    nodes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class EngineCallTimes:
    """What files of one engine say. target: as the engine calls it, or the engine's own name."""

    target: str
    source: str
    curves: tuple[CallTimeCurve, ...]
    cautions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of file. keys: that tell it. one_of: what is taken of several timings of the same step."""

    source: str
    keys: tuple[str, ...]
    step: Callable[[Json], TimedStep]
    one_of: Callable[[Sequence[float]], float]
    cautions: tuple[str, ...]
    plain: str


def read_call_times(paths: Sequence[Path]) -> EngineCallTimes:
    """The curves in files of SGLang's bench_speculative, `vllm bench serve`, or llama-batched-bench.

    Several files of one kind are taken together. Raises InvalidInput for files that cannot be read, are cut
    or of no known kind, and for timings that leave a size out at one of the contexts, or a plain call.
    """
    documents = [document for path in paths for document in _documents(path)]
    kinds = [_kind_of(document) for document in documents]
    kind = kinds[0]
    if any(other is not kind for other in kinds):
        raise InvalidInput(
            f"got files of {kind.source} and of another benchmark, expected one kind; read them apart"
        )
    steps = [_checked_step(kind, document) for document in documents]
    batches = sorted({step.batch_size for step in steps})
    curves = tuple(_curve(kind, batch, [s for s in steps if s.batch_size == batch]) for batch in batches)
    target = str(documents[0].get("model_id") or kind.source)
    return EngineCallTimes(target, kind.source, curves, kind.cautions)


def record_call_times(paths: Sequence[Path], folder: Path) -> LatencyRecord:
    """The record of call times made of an engine's files, as if they had been measured here in one round.

    Raises as `read_call_times`, and StorageError if the folder holds another plan.
    """
    found = read_call_times(paths)
    plan = {
        "kind": KIND,
        "target": found.target,
        "source": found.source,
        "cautions": list(found.cautions),
        "files_sha256": {path.name: digest(path.read_bytes()) for path in paths},
        "settings": {"rounds": 1},
        "work": None,
    }
    tables = [
        round_table(
            curve.medians[None], [curve.batch_size], curve.context_tokens.tolist(), curve.nodes.tolist()
        )
        for curve in found.curves
    ]
    with recording(folder, plan) as records:
        if not records.has(round_name(0)):
            records.write(round_name(0), pa.concat_tables(tables))
    return read_latency(folder)


def _documents(path: Path) -> list[Json]:
    """The JSON objects of a file: a single one, or those of its lines that begin like one."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InvalidInput(f"{path.name} has more than {LARGEST_BYTES} bytes; give a part of it")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {path}: {error}; expected a text file") from error
    try:
        found = [json.loads(text)]
    except ValueError:
        found = [
            _line(path, number, line)
            for number, line in enumerate(text.splitlines(), start=1)
            if line.lstrip().startswith("{")
        ]
    documents: list[Json] = [document for document in found if isinstance(document, dict)]
    if not documents:
        raise InvalidInput(
            f"{path.name} holds no JSON objects, expected JSON lines of a benchmark ({_known()}); llama.cpp "
            "writes them with the output format jsonl"
        )
    return documents


def _line(path: Path, number: int, line: str) -> object:
    try:
        return json.loads(line)
    except ValueError as error:
        raise InvalidInput(
            f"line {number} of {path.name} is no JSON ({error}); it may have been cut: remove it, or run "
            "the benchmark again"
        ) from error


def _kind_of(document: Json) -> _Kind:
    for kind in KINDS:
        if all(key in document for key in kind.keys):
            return kind
    raise InvalidInput(
        f"got an object with the keys {', '.join(sorted(map(str, document))[:6])}, expected a result of "
        f"{_known()}"
    )


def _known() -> str:
    return ", ".join(kind.source for kind in KINDS)


def _checked_step(kind: _Kind, document: Json) -> TimedStep:
    try:
        step = kind.step(document)
    except (TypeError, ValueError, ZeroDivisionError, KeyError) as error:
        raise InvalidInput(
            f"an object of {kind.source} cannot be read ({error!r}), expected numbers as it writes them"
        ) from error
    if step.batch_size < 1 or step.nodes < 1 or not 0.0 < step.seconds < float("inf"):
        raise InvalidInput(f"{kind.source} tells {step}, expected sizes >= 1 and finite seconds > 0")
    return step


def _curve(kind: _Kind, batch_size: int, steps: list[TimedStep]) -> CallTimeCurve:
    contexts = sorted({step.context_tokens for step in steps})
    nodes = sorted({step.nodes for step in steps})
    if nodes[0] != 1:
        raise InvalidInput(
            f"the timings of batch size {batch_size} begin at {nodes[0]} nodes, expected 1 too, a call "
            f"without drafts: {kind.plain}"
        )
    taken = {(context, size): list[float]() for context in contexts for size in nodes}
    for step in steps:
        taken[step.context_tokens, step.nodes].append(step.seconds)
    missing = [f"{size} nodes after {context} tokens" for (context, size), all_ in taken.items() if not all_]
    if missing:
        raise InvalidInput(
            f"the timings of batch size {batch_size} leave out {', '.join(missing[:4])}"
            f"{' and more' if len(missing) > 4 else ''}, expected every size at every context; the file may "
            "have been cut: run the benchmark again for those"
        )
    seconds = np.array([[kind.one_of(taken[context, size]) for size in nodes] for context in contexts])
    return CallTimeCurve(np.array(nodes), np.array(contexts), seconds, seconds, seconds, batch_size)


def _sglang(document: Json) -> TimedStep:
    # 0 draft tokens is its plain decoding; else they count the root.
    nodes = max(1, int(document["num_draft_tokens"]))
    return TimedStep(int(document["batch_size"]), 0, nodes, float(document["step_time"]))


def _vllm(document: Json) -> TimedStep:
    drafts = int(document.get("spec_decode_num_drafts") or 0)
    drafted = round(int(document["spec_decode_draft_tokens"]) / drafts) if drafts else 0
    prompt = round(int(document["total_input_tokens"]) / int(document["completed"]))
    answer = round(int(document["total_output_tokens"]) / int(document["completed"]))
    batch_size = document.get("max_concurrency")
    if batch_size is None:
        raise ValueError("max_concurrency is null: how many texts a step held is not known")
    return TimedStep(
        int(batch_size), prompt + answer // 2, 1 + drafted, float(document["median_itl_ms"]) / 1e3
    )


def _llama_cpp(document: Json) -> TimedStep:
    tokens = int(document["tg"])
    seconds = float(document["t_tg"]) / tokens
    return TimedStep(1, int(document["pp"]) + tokens // 2, int(document["pl"]), seconds)


KINDS: tuple[_Kind, ...] = (
    _Kind(
        "SGLang's bench_speculative",
        ("step_time", "num_draft_tokens", "batch_size"),
        _sglang,
        min,
        (
            "seconds are of the fastest fifth of whole steps, drafting included: of several depths and "
            "widths with one number of nodes the fastest is taken",
            "the context is not told",
        ),
        "0 draft tokens",
    ),
    _Kind(
        "vllm bench serve",
        ("median_itl_ms", "completed", "total_input_tokens"),
        _vllm,
        median,
        (
            "seconds are the median time between two pieces of an answer: whole steps, drafting, scheduling "
            "and sending included, and prompts of other requests where they share a step",
            "texts in a step are taken to be as many as may run at once; the context is the mean prompt and "
            "half the mean answer",
        ),
        "a run without speculation",
    ),
    _Kind(
        "llama-batched-bench",
        ("pp", "tg", "pl", "t_tg"),
        _llama_cpp,
        median,
        (
            "nodes are sequences decoded together: each has a context of its own (a shared prompt is still "
            "read for each), so a tree of as many nodes reads less",
        ),
        "one sequence",
    ),
)
