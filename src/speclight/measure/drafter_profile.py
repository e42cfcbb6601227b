"""What a drafter does along the target's own text, read from a trace: both laws, and how far its trees hold.

Free of torch and Transformers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import StorageError
from speclight.measure.step_histogram import StepHistogram, read_histograms
from speclight.measure.trace.record import DRAFTER_LAWS, Trace, read_trace, text_unit
from speclight.measure.trace.regrown import regrown
from speclight.measure.trace.traced import TracedDrafter, TracedStart
from speclight.models.sampling_settings import SamplingSettings
from speclight.theory.laws.law_pairs import LawPair
from speclight.trees.best_first import BestFirstGrowth

# The growth whose trees are looked at: a trace must hold it.
GROWTH = "best_first"


@dataclass(frozen=True, slots=True, eq=False)
class DraftedStart:
    """One start. start: index of the first token the call would emit. pair: the two laws there.

    expected_tokens: [nodes] E[X] of the drafter's best-first tree of 1, 2, ... nodes: the sum of the
    target's path probabilities over them (arXiv 2512.11718v1, Lemma 1). ahead: [depths or as far as the text
    goes] log-probabilities of the text's next tokens, nats, under the drafter where all of them are one draft
    (-inf: cannot be drafted). coupling: [the same] min(1, Q/P) of the path to each.
    """

    prompt_id: str
    family: str
    start: int
    pair: LawPair
    expected_tokens: FloatArray
    ahead: FloatArray
    coupling: FloatArray

    def tokens_per_call(self, node_budget: int) -> float:
        """E[X] of the call with the drafter's best-first tree of `node_budget` nodes."""
        return float(self.expected_tokens[min(node_budget, len(self.expected_tokens)) - 1])


@dataclass(frozen=True, slots=True, eq=False)
class DrafterProfile:
    """All starts, and the drafter's own histogram of -ln q over the contexts of each prompt.

    node_budget: the largest one.
    """

    drafter: str
    target: str
    node_budget: int
    sampling: SamplingSettings
    starts: tuple[DraftedStart, ...]
    histograms: dict[str, StepHistogram]

    @property
    def families(self) -> tuple[str, ...]:
        """Families in order of appearance."""
        return tuple(dict.fromkeys(start.family for start in self.starts))

    def of_family(self, family: str) -> DrafterProfile:
        """The starts of one family."""
        starts = tuple(start for start in self.starts if start.family == family)
        own = {start.prompt_id: self.histograms[start.prompt_id] for start in starts}
        return DrafterProfile(self.drafter, self.target, self.node_budget, self.sampling, starts, own)


def read_drafter_profile(folder: Path) -> DrafterProfile:
    """What a trace of one drafter says about it.

    Raises StorageError as `read_drafter_profiles`, and for a trace of several drafters.
    """
    profiles = read_drafter_profiles(folder)
    if len(profiles) > 1:
        raise _no_profile(folder, profiles)
    (profile,) = profiles.values()
    return profile


def read_drafter_profiles(folder: Path) -> dict[str, DrafterProfile]:
    """What a trace says about each of its drafters, by their labels.

    Raises StorageError as `read_trace`, and for a trace without drafters, without their best-first trees, or
    without their laws.
    """
    trace = read_trace(folder)
    if not trace.drafters or GROWTH not in trace.growths or not trace.settings.drafter_laws:
        raise _no_profile(folder, trace.drafters)
    histograms = _histograms(folder, trace)
    return {
        drafter: DrafterProfile(
            drafter,
            trace.target,
            trace.node_budgets[-1],
            trace.sampling,
            tuple(_drafted(start, start.drafters[drafter], trace) for start in trace.starts),
            {prompt: by_drafter[drafter] for prompt, by_drafter in histograms.items()},
        )
        for drafter in trace.drafters
    }


def _no_profile(folder: Path, drafters: Iterable[str]) -> StorageError:
    return StorageError(
        f"the trace in {folder.name} has the drafters {', '.join(drafters) or 'none'}, expected one, "
        f"with the growth {GROWTH} and drafter_laws; make one with `speclight drafter-profile`"
    )


def _drafted(start: TracedStart, drafter: TracedDrafter, trace: Trace) -> DraftedStart:
    assert drafter.ahead is not None, "recorded with the drafter's laws"
    assert drafter.laws is not None, "recorded with the drafter's laws"
    tree = regrown(drafter.tree, BestFirstGrowth(drafter.tree.root, trace.node_budgets[-1]))
    expected = np.exp(tree.target_path_log_probs).cumsum()
    return DraftedStart(
        start.prompt_id,
        start.family,
        start.start,
        drafter.laws,
        expected,
        drafter.ahead,
        drafter.coupling,
    )


def _histograms(folder: Path, trace: Trace) -> dict[str, dict[str, StepHistogram]]:
    """By prompt, all its texts together, and drafter. Texts are in the order of the trace's starts."""
    prompts = {start.key: start.prompt_id for start in trace.starts}
    units: dict[str, list[str]] = {}
    for number, prompt in enumerate(prompts.values()):
        units.setdefault(prompt, []).append(f"{text_unit(number)}-{DRAFTER_LAWS}")
    return {prompt: read_histograms(folder, names) for prompt, names in units.items()}
