"""Tracing a target and drafters along the texts of a profile; a text is the resumable unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import NO_DRAFTER
from speclight.drafting.drafter_labels import distinct_labels, labelled_plans
from speclight.drafting.drafters import law_source
from speclight.drafting.protocol import LawSource
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput, StorageError
from speclight.measure.checksums import digest, read_sums
from speclight.measure.plan import PLAN_NAME, plan_text, run_plan
from speclight.measure.profile import Profile, ProfiledText, read_profile
from speclight.measure.step_histogram import StepHistogram, histograms_table
from speclight.measure.store import (
    RecordFolder,
    read_plan,
    read_recorded,
    recording,
    remove_leftovers,
    write_recorded,
)
from speclight.measure.trace.along import traced_texts
from speclight.measure.trace.record import (
    DRAFTER_LAWS,
    KIND,
    SCHEMA,
    TEXTS,
    Trace,
    read_trace,
    text_unit,
    write_starts,
)
from speclight.measure.trace.sampled import with_samples
from speclight.measure.trace.sampled_names import read_sampled
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.trace.starts import traced_positions
from speclight.measure.trace.traced import TracedStart
from speclight.measure.true_limit import in_step
from speclight.models.causal_lm import CausalLM
from speclight.models.readings import Readings
from speclight.models.sampling_settings import SamplingSettings
from speclight.progress import Progress, silent
from speclight.trees.draft_tree import DraftKind

# Drafters whose law at a place depends on the text before it alone. The others: two_stage grows the trees of
# its model, lookahead learns from the calls of a whole decode, and the oracle's own law is the target's.
TRACED_DRAFTERS = ("ngram", "layer_skip", "model", "eagle3", "medusa")


def run_trace(
    model: CausalLM,
    drafters: Sequence[ComparedDrafter],
    settings: TraceSettings,
    folder: Path,
    progress: Progress = silent,
    readings: Readings | None = None,
) -> Trace:
    """Trace the texts of the profile that lies in the folder's `texts`, under the law they were sampled from.

    The target's best trees of neighbouring texts are searched in step; the drafters are led along each text
    one after the other, and all their trees scored together. A killed run resumes to the same bytes.
    readings: read the prompts, and may have read some before. Raises StorageError if the folder holds another
    plan, InvalidInput for a profile of another target or of a server, and for drafts that cannot be.
    """
    profile = read_profile(folder / TEXTS)
    profiled = read_plan(folder / TEXTS)
    _check_target(model, profiled)
    chosen = traced_positions(profile, settings, model.context_window)
    sampling = profile.settings.sampling
    _check_drafts(drafters, settings, sampling)
    plan = run_plan(
        KIND,
        model,
        schema=SCHEMA,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        settings=asdict(settings),
        sampling=asdict(sampling),
        start_law=settings.start_law,
        drafters=labelled_plans(drafters),
        profile_sha256=digest(plan_text(profiled)),
        texts=[[*text.key, starts] for text, starts in chosen],
    )
    with recording(folder, plan) as records:
        tracer = _Tracer(model, drafters, settings, sampling, readings)
        for group in in_step([(len(starts), _tokens_read(text, starts)) for text, starts in chosen]):
            if all(records.has(text_unit(number)) for number in group):
                progress(group.stop, len(chosen), "tracing texts")
                continue
            for number, text in zip(group, tracer.traced([chosen[each] for each in group]), strict=True):
                text.write(records, text_unit(number))
                progress(number + 1, len(chosen), "tracing texts")
    return read_trace(folder)


def _tokens_read(text: ProfiledText, starts: Sequence[int]) -> int:
    return len(text.prompt_token_ids) + starts[-1]


class _Tracer:
    """Traces groups of texts with drafters that are made when the first one is to be traced."""

    def __init__(
        self,
        model: CausalLM,
        drafters: Sequence[ComparedDrafter],
        settings: TraceSettings,
        sampling: SamplingSettings,
        readings: Readings | None,
    ) -> None:
        self._model, self._drafters, self._readings = model, drafters, readings
        self._settings, self._sampling = settings, sampling

    @cached_property
    def _sources(self) -> dict[str, LawSource]:
        return _sources(self._model, self._drafters, self._sampling, "deterministic")

    @cached_property
    def _samplers(self) -> dict[str, LawSource]:
        return _sources(self._model, self._drafters, self._sampling, "with_replacement")

    def traced(self, texts: Sequence[tuple[ProfiledText, Sequence[int]]]) -> Iterator[_TracedText]:
        """What each text of a group came to. Always all of a group: company moves a number's last bits."""
        model, settings, sampling = self._model, self._settings, self._sampling
        keep_laws = settings.drafter_laws and bool(self._sources)
        histograms = [_histograms(model, self._sources) if keep_laws else {} for _ in texts]
        found = traced_texts(model, texts, self._sources, settings, sampling, histograms, self._readings)
        for (text, _), starts, own in zip(texts, found, histograms, strict=True):
            if settings.sampled:
                starts = with_samples(model, text, starts, self._samplers, settings, sampling)
            yield _TracedText(starts, list(own.values()))


@dataclass(frozen=True, slots=True, eq=False)
class _TracedText:
    """The starts of a text, and its drafters' laws there where they were asked for."""

    starts: Sequence[TracedStart]
    laws: Sequence[StepHistogram]

    def write(self, records: RecordFolder, unit: str) -> None:
        """Write the unit, unless an earlier run has."""
        if records.has(unit):
            return
        if self.laws:
            records.write(f"{unit}-{DRAFTER_LAWS}", histograms_table(self.laws))
        write_starts(records, unit, self.starts)


def _histograms(model: CausalLM, sources: Mapping[str, LawSource]) -> dict[str, StepHistogram]:
    """An empty one of the laws of each drafter."""
    end_of_text = tuple(sorted(model.end_of_text))
    return {name: StepHistogram(name, model.vocabulary_size, end_of_text) for name in sources}


def _check_drafts(
    drafters: Sequence[ComparedDrafter], settings: TraceSettings, sampling: SamplingSettings
) -> None:
    if any(drafter.name == NO_DRAFTER for drafter in drafters):
        raise InvalidInput("got no drafter (none) to trace, expected one with a law; leave it out")
    for growth in settings.growths:
        read_tree(growth, "deterministic")
    for draft in settings.sampled:
        read_sampled(draft)
    if settings.sampled and sampling.temperature == 0.0:
        raise InvalidInput(
            "sampled drafts need a temperature above 0, got 0: greedy text leaves nothing to sample; leave "
            "them out",
            argument="sampled",
        )


def _sources(
    model: CausalLM, drafters: Sequence[ComparedDrafter], sampling: SamplingSettings, kind: DraftKind
) -> dict[str, LawSource]:
    return {
        label: law_source(drafter.choice, model, sampling, kind)
        for label, drafter in zip(distinct_labels(drafters), drafters, strict=True)
    }


def copy_profile(profile: Profile, folder: Path) -> None:
    """Copy a profile that was read from a folder into a trace's, so that the trace stands alone.

    Raises StorageError if the profile is not finished or damaged, or another one is there; InvalidInput for
    one that was put together in memory.
    """
    if profile.folder is None:
        raise InvalidInput("got a profile that lies in no folder, expected one that was measured or read")
    plan = read_recorded(profile.folder, PLAN_NAME)
    target = folder / TEXTS
    if (target / PLAN_NAME).exists() and read_recorded(target, PLAN_NAME) != plan:
        raise StorageError(
            f"{folder.name} holds the trace of another profile than {profile.folder.name}; choose another "
            "folder"
        )
    target.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    for name in sorted(read_sums(profile.folder)):
        if not (target / name).exists():
            write_recorded(target, name, read_recorded(profile.folder, name))


def _check_target(model: CausalLM, profiled: Mapping[str, Any]) -> None:
    if "engine" in profiled:
        raise InvalidInput(
            "the profile is one of an inference server, expected one of the target itself: a trace needs its "
            "logits; make one with `speclight profile` and without a server"
        )
    known, here = profiled["weights_sha256"], model.loaded.weights_sha256
    if profiled["target"] != model.name or known != here:
        raise InvalidInput(
            f"the profile is of the target {profiled['target']} (weights {str(known)[:12]}), expected "
            f"{model.name} ({str(here)[:12]}); trace the target that was profiled"
        )
