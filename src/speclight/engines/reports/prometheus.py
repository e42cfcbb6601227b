"""Metrics in the Prometheus format: one scrape, or the difference of two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from speclight.engines.reports.record import SpeculationCounts, SpeculationReport
from speclight.errors import InvalidInput

SKIPS = (
    "steps in which the drafter had nothing to propose are not counted as drafts; tokens per call over all "
    "steps come from the generated tokens"
)


@dataclass(frozen=True, slots=True)
class CounterNames:
    """What an engine calls its counters; generated may be missing there."""

    engine: str
    drafts: str
    drafted: str
    accepted: str
    accepted_at: str
    generated: str


VLLM = CounterNames(
    "vllm",
    "vllm:spec_decode_num_drafts",
    "vllm:spec_decode_num_draft_tokens",
    "vllm:spec_decode_num_accepted_tokens",
    "vllm:spec_decode_num_accepted_tokens_per_pos",
    "vllm:generation_tokens",
)
LLAMA_CPP = CounterNames(
    "llamacpp",
    "llamacpp:spec_decode_num_drafts",
    "llamacpp:spec_decode_num_draft_tokens",
    "llamacpp:spec_decode_num_accepted_tokens",
    "llamacpp:spec_decode_num_accepted_tokens_per_pos",
    "llamacpp:tokens_predicted",
)
Samples = dict[str, dict[str, float]]
"""Metric name -> label that tells its parts apart (the position, or empty) -> sum over engines and models."""


def read_metrics(after: str, before: str | None = None) -> list[SpeculationReport]:
    """What a server counted, or counted between two scrapes of it.

    Raises InvalidInput for text that is no Prometheus format, without known counters, or where a counter fell
    (the server was started again in between).
    """
    late, early = _samples(after), {} if before is None else _samples(before)
    source = "/metrics" if before is None else "/metrics, difference of two scrapes"
    found = [
        SpeculationReport(names.engine, source, counts=_counts(names, late, early), cautions=(SKIPS,))
        for names in (VLLM, LLAMA_CPP)
        if names.drafts in late
    ]
    found += _sglang(late, early, source) + _tensorrt(late, early, source)
    if not found:
        raise InvalidInput(
            "these metrics hold no counters of speculative decoding, expected those of vLLM, SGLang "
            "(--enable-metrics), llama.cpp (--metrics) or TensorRT-LLM; check that the server speculates"
        )
    return found


def _samples(text: str) -> Samples:
    found: Samples = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                name = sample.name.removesuffix("_total")
                parts = found.setdefault(name, {})
                part = sample.labels.get("position", "")
                parts[part] = parts.get(part, 0.0) + sample.value
    except ValueError as error:
        raise InvalidInput(
            f"not in the Prometheus text format ({error}); save what GET /metrics gives"
        ) from error
    return found


def _difference(late: Samples, early: Samples, name: str) -> dict[str, float]:
    earlier = early.get(name, {})
    return {part: value - earlier.get(part, 0.0) for part, value in late.get(name, {}).items()}


def _whole(late: Samples, early: Samples, name: str) -> int | None:
    parts = _difference(late, early, name)
    return round(sum(parts.values())) if parts else None


def _counts(names: CounterNames, late: Samples, early: Samples) -> SpeculationCounts:
    by_position = _difference(late, early, names.accepted_at)
    ordered = sorted((int(part), value) for part, value in by_position.items() if part)
    return SpeculationCounts(
        _whole(late, early, names.drafts) or 0,
        _whole(late, early, names.accepted) or 0,
        _whole(late, early, names.drafted),
        tuple(round(value) for _, value in ordered),
        _whole(late, early, names.generated),
    )


def _sglang(late: Samples, early: Samples, source: str) -> list[SpeculationReport]:
    gauge = late.get("sglang:spec_accept_length")
    if gauge is None:
        return []
    steps = _whole(late, early, "sglang:spec_verify_calls")
    generated = _whole(late, early, "sglang:generation_tokens")
    cautions = [
        "the gauge is of the last logging window alone, and its accept rate has had three definitions"
    ]
    counts = None
    if steps and generated is not None and generated >= steps:
        counts = SpeculationCounts(steps, generated - steps, generated=generated)
        cautions.append("counters move when a request ends: scrape an idle server")
    return [
        SpeculationReport(
            "sglang", source, counts=counts, stated=_mean(gauge.values()), cautions=tuple(cautions)
        )
    ]


def _tensorrt(late: Samples, early: Samples, source: str) -> list[SpeculationReport]:
    drafted = _whole(late, early, "trtllm_spec_decode_num_draft_tokens")
    if drafted is None:
        return []
    gauge = late.get("trtllm_spec_decode_acceptance_length", {})
    return [
        SpeculationReport(
            "tensorrt-llm",
            source,
            stated=_mean(gauge.values()) if gauge else None,
            cautions=("it counts draft tokens but no drafts, so shares by position are not known",),
        )
    ]


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def is_metrics(text: str) -> bool:
    """Whether a text looks like a scrape."""
    return any(line.startswith(("# HELP ", "# TYPE ")) for line in text.splitlines()[:50])


def request_counts(metrics: Mapping[str, object]) -> SpeculationCounts:
    """VLLM's summary of one request (`metrics.speculative_decoding`) without single steps."""
    histogram = metrics.get("acceptance_histogram")
    if not isinstance(histogram, list) or not all(isinstance(count, int) for count in histogram):
        raise InvalidInput("a request's metrics need acceptance_histogram, expected a list of counts")
    return SpeculationCounts(
        sum(histogram),
        sum(accepted * count for accepted, count in enumerate(histogram)),
        _int(metrics.get("num_draft_tokens")),
        tuple(sum(histogram[place + 1 :]) for place in range(len(histogram) - 1)),
    )


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None
