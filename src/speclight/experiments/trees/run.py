"""Draft trees of one drafter against each other at equal node budgets, at contexts of the target's own text.

Expected tokens per call are sums of path probabilities, so nothing is sampled but the contexts: under the
target's law what a call would emit on average (rule target_sample), under the drafter's what the tree was
grown to maximise. Best-first growth must win the latter everywhere; the former is what is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speclight.decoding.noise_streams import SeededNoise
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.growth_start import growth_start
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.experiments.trees.settings import TreeSettings as TreeSettings
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.trace.record import Trace
from speclight.measure.trace.regrown import regrown
from speclight.measure.trace.run import copy_profile, run_trace
from speclight.measure.trace.settings import TraceSettings
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent

BEST_FIRST = "best_first"
TREES = (BEST_FIRST, "eagle2", "static", "chain", "batch")


@dataclass(frozen=True, slots=True)
class TreeValue:
    """One tree at one context. start: index of the first token the call would emit, in the generated text.

    target_tokens, own_tokens: expected tokens of the call under the target's and the drafter's own law, the
    target's own token included. calls, expanded_nodes: what growing took.
    """

    prompt_id: str
    family: str
    start: int
    tree: str
    node_budget: int
    target_tokens: float
    own_tokens: float
    nodes: int
    depth: int
    calls: int
    expanded_nodes: int


@dataclass(frozen=True, slots=True)
class DrafterTrees:
    """All trees of one drafter at all contexts. acceptance: [ranks] the vector of its static trees."""

    drafter: ComparedDrafter
    acceptance: tuple[float, ...]
    values: tuple[TreeValue, ...]


def run_tree_comparison(
    target: CausalLM,
    prompts: Sequence[Prompt],
    drafters: Sequence[ComparedDrafter],
    settings: TreeSettings,
    folder: Path,
    progress: Progress = silent,
) -> tuple[DrafterTrees, ...]:
    """Trace every drafter with every tree at scattered starts of texts sampled from the target.

    Static trees are made for the acceptance that a trace of other texts shows, so each drafter has a trace of
    its own, of the same starts. A killed run goes on with the first text missing. Raises StorageError if the
    folder holds another plan, InvalidInput for families with too few prompts.
    """
    measured, calibrating = _split(prompts, settings)
    texts = ProfileSettings(max_tokens=settings.max_tokens, seed=settings.seed, sampling=settings.sampling)
    of_calibration = run_profile(target, calibrating, texts, folder / "calibration-texts", progress)
    of_contexts = run_profile(target, measured, texts, folder / "texts", progress)
    compared: list[DrafterTrees] = []
    for drafter in drafters:
        own, of_ranks = folder / drafter.name, folder / drafter.name / "calibration"
        copy_profile(of_calibration, of_ranks)
        copy_profile(of_contexts, own)
        first_tokens = run_trace(target, (drafter,), _calibration(settings), of_ranks, progress)
        acceptance = acceptance_vector(first_tokens, drafter.name, settings.node_budgets[-1] - 1)
        growths = {name: name for name in TREES}
        growths["static"] = f"static={','.join(map(repr, acceptance))}"
        trace = run_trace(target, (drafter,), _starts(settings, tuple(growths.values())), own, progress)
        values = tuple(_values(target, trace, drafter.name, growths))
        compared.append(DrafterTrees(drafter, acceptance, values))
    return tuple(compared)


def _calibration(settings: TreeSettings) -> TraceSettings:
    """Scattered starts at which the likeliest candidates for one token are looked at."""
    return TraceSettings(
        node_budgets=settings.node_budgets[-1:],
        growths=("batch",),
        window=1,
        windows_per_family=settings.calibration_prompts * settings.calibration_contexts,
        lookahead=1,
        seed=settings.seed,
    )


def _starts(settings: TreeSettings, growths: tuple[str, ...]) -> TraceSettings:
    """Scattered starts at which all trees are grown, chains as long as the budget."""
    return TraceSettings(
        node_budgets=settings.node_budgets,
        growths=growths,
        window=1,
        windows_per_family=settings.prompts_per_family * settings.contexts,
        lookahead=settings.node_budgets[-1] - 1,
        seed=settings.seed,
    )


def acceptance_vector(trace: Trace, drafter: str, ranks: int) -> tuple[float, ...]:
    """[ranks] the target's mean probability of the drafter's candidate of each rank: Sequoia's vector.

    Averaged over places of the target's own text, which is where the nodes of a tree that come to be accepted
    stand; that the drafter knows less deeper in a tree is what this vector leaves out. trace: of the growth
    batch.
    """
    rates = np.zeros(ranks)
    for start in trace.starts:
        tree = start.drafters[drafter].tree
        rates[tree.ranks[1:]] += np.exp(tree.target_log_probs[1:])
    return tuple((rates / len(trace.starts)).tolist())


def _values(target: CausalLM, trace: Trace, drafter: str, growths: dict[str, str]) -> Iterator[TreeValue]:
    begins = {name: growth_start(read_tree(each, "deterministic"), target) for name, each in growths.items()}
    names = {each: name for name, each in growths.items()}
    noise = SeededNoise(0).for_draft()  # deterministic trees take none
    for start in trace.starts:
        traced = start.drafters[drafter]
        for cost in traced.costs:
            name = names[cost.growth]
            grown = regrown(traced.tree, begins[name](traced.tree.root, cost.node_budget, noise))
            yield TreeValue(
                prompt_id=start.prompt_id,
                family=start.family,
                start=start.start,
                tree=name,
                node_budget=cost.node_budget,
                target_tokens=float(np.exp(grown.target_path_log_probs).sum()),
                own_tokens=float(np.exp(grown.tree.path_log_probs).sum()),
                nodes=len(grown.tree),
                depth=int(grown.tree.depths.max()),
                calls=cost.calls,
                expanded_nodes=cost.expanded_nodes,
            )


def _split(
    prompts: Sequence[Prompt], settings: TreeSettings
) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...]]:
    """The prompts whose texts give contexts, and those whose texts give acceptance vectors."""
    measured: list[Prompt] = []
    calibrating: list[Prompt] = []
    for family in dict.fromkeys(prompt.family for prompt in prompts):
        own = [prompt for prompt in prompts if prompt.family == family]
        first, needed = (
            settings.prompts_per_family,
            settings.prompts_per_family + settings.calibration_prompts,
        )
        if len(own) < needed:
            raise InvalidInput(
                f"family {family!r} has {len(own)} prompts, expected {needed}, those that give contexts and "
                "those that give acceptance rates; give more prompts or ask for fewer"
            )
        measured += own[:first]
        calibrating += own[first:needed]
    return tuple(measured), tuple(calibrating)
