"""Draft trees of one drafter against each other at equal node budgets, at contexts of the target's own text.

Expected tokens per call are sums of path probabilities, so nothing is sampled but the contexts: under the
target's law what a call would emit on average (rule target_sample), under the drafter's what the tree was
grown to maximise. Best-first growth must win the latter everywhere; the former is what is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from speclight.arrays import FloatArray
from speclight.decoding.noise_streams import SeededNoise
from speclight.drafting.along_text import AlongText, stops_with_target
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafters import law_source
from speclight.drafting.growth_start import growth_start
from speclight.drafting.protocol import LawSource
from speclight.drafting.tree_choices import Batch, BestFirst, Chain, Eagle2, Static
from speclight.drafting.tree_drafter import GrowthStart
from speclight.errors import InvalidInput
from speclight.experiments.trees.settings import TreeSettings as TreeSettings
from speclight.experiments.trees.values import (
    expected_tokens,
    target_law,
    target_path_log_probs,
)
from speclight.measure.plan import run_plan
from speclight.measure.profile import ProfiledText, ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.store import read_table, recording
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.seeds import stream
from speclight.trees.tree_union import union_of

BEST_FIRST = "best_first"
TREES = (BEST_FIRST, "eagle2", "static", "chain", "batch")
# Drafters whose law at a place depends on the text before it alone. The others: two_stage grows the trees of
# its model, lookahead learns from the calls of a whole decode, and the oracle's own law is the target's.
DRAFTERS_WITH_A_LAW = ("ngram", "layer_skip", "model", "eagle3", "medusa")
ACCEPTANCE = "acceptance"


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
    """Grow every tree of every drafter at contexts of texts sampled from the target, and score them with it.

    The text is the unit of work; a killed run goes on with the first one missing. Raises StorageError if the
    folder holds another plan, InvalidInput for families with too few prompts.
    """
    measured, calibrating = _split(prompts, settings)
    profile = run_profile(
        target,
        (*measured, *calibrating),
        ProfileSettings(max_tokens=settings.max_tokens, seed=settings.seed, sampling=settings.sampling),
        folder / "texts",
        progress,
    )
    texts = {prompt.prompt_id: list[ProfiledText]() for prompt in (*measured, *calibrating)}
    for text in profile.texts:
        texts[text.prompt_id].append(text)
    return tuple(
        _compare(
            target,
            drafter,
            [text for prompt in measured for text in texts[prompt.prompt_id]],
            [text for prompt in calibrating for text in texts[prompt.prompt_id]],
            settings,
            folder / drafter.name,
            progress,
        )
        for drafter in drafters
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


def _compare(
    target: CausalLM,
    drafter: ComparedDrafter,
    texts: Sequence[ProfiledText],
    calibrating: Sequence[ProfiledText],
    settings: TreeSettings,
    folder: Path,
    progress: Progress,
) -> DrafterTrees:
    starts = [_starts(text, settings.contexts, settings.seed, n) for n, text in enumerate(texts)]
    plan = run_plan(
        "trees",
        target,
        dtype=str(target.model.dtype),
        drafter=drafter.plan(),
        settings=asdict(settings),
        starts=[[text.prompt_id, own] for text, own in zip(texts, starts, strict=True)],
        calibrating=[text.prompt_id for text in calibrating],
    )
    with recording(folder, plan) as records:
        names = [f"text-{number:04d}" for number in range(len(texts))]
        if not all(records.has(name) for name in (ACCEPTANCE, *names)):
            source = law_source(drafter.choice, target, settings.sampling)
            if not records.has(ACCEPTANCE):
                rates = acceptance_vector(target, source, calibrating, settings)
                records.write(ACCEPTANCE, pa.table({ACCEPTANCE: rates}))
            starts_of_trees = growth_starts(target, _acceptance(folder))
            for number, name in enumerate(names):
                if not records.has(name):
                    found = _values(target, source, starts_of_trees, texts[number], starts[number], settings)
                    records.write(name, pa.Table.from_pylist([asdict(value) for value in found]))
                progress(number + 1, len(names), f"trees of {drafter.name}")
    values = [TreeValue(**row) for name in names for row in read_table(folder, name).to_pylist()]
    return DrafterTrees(drafter, _acceptance(folder), tuple(values))


def acceptance_vector(
    target: CausalLM, source: LawSource, texts: Sequence[ProfiledText], settings: TreeSettings
) -> FloatArray:
    """[ranks] the target's mean probability of the drafter's candidate of each rank: Sequoia's vector.

    Averaged over places of the target's own text, which is where the nodes of a tree that come to be accepted
    stand; that the drafter knows less deeper in a tree is what this vector leaves out.
    """
    ranks = max(settings.node_budgets) - 1
    excluded = np.array(sorted(target.end_of_text), dtype=np.int64)
    rates, places = np.zeros(ranks), 0
    for number, text in enumerate(texts):
        starts = _starts(text, settings.calibration_contexts, settings.seed, number)
        along, stops = _along(source, text, starts)
        for scored in stops_with_target(target, along, stops):
            candidates = along.law().likeliest(ranks, excluded).tokens
            rates[: len(candidates)] += target_law(scored, settings.sampling)[candidates]
            places += 1
    return rates / places


def _acceptance(folder: Path) -> tuple[float, ...]:
    return tuple(read_table(folder, ACCEPTANCE).column(ACCEPTANCE).to_pylist())


def _starts(text: ProfiledText, count: int, seed: int, number: int) -> list[int]:
    """Places of a text, evenly spread from a random first one: each is equally likely to be among them."""
    places = len(text.token_ids)
    count = min(count, places)
    offset = stream(seed, number).random()
    return [int((offset + turn) * places / count) for turn in range(count)]


def _along(source: LawSource, text: ProfiledText, starts: Sequence[int]) -> tuple[AlongText, list[int]]:
    """The source at a text, and where it is to stop: before the text's sampled tokens of these indices."""
    token_ids = [*text.prompt_token_ids, *text.token_ids]
    return AlongText(source, token_ids), [len(text.prompt_token_ids) + start for start in starts]


def growth_starts(target: CausalLM, acceptance: tuple[float, ...]) -> dict[str, GrowthStart]:
    """How each of TREES begins; acceptance: what the static one is made for."""
    choices = (BestFirst(), Eagle2(), Static(acceptance), Chain(), Batch())
    return {name: growth_start(tree, target) for name, tree in zip(TREES, choices, strict=True)}


def _values(
    target: CausalLM,
    source: LawSource,
    starts_of_trees: dict[str, GrowthStart],
    text: ProfiledText,
    starts: Sequence[int],
    settings: TreeSettings,
) -> list[TreeValue]:
    noise = SeededNoise(settings.seed).for_draft()  # deterministic trees take none
    values: list[TreeValue] = []
    along, stops = _along(source, text, starts)
    for start, scored in zip(starts, stops_with_target(target, along, stops), strict=True):
        # The largest trees first: a law source remembers what it was asked at this place.
        wanted = [(tree, budget) for budget in reversed(settings.node_budgets) for tree in TREES]
        trees = [along.drafted(starts_of_trees[tree](along.root, budget, noise)) for tree, budget in wanted]
        union = union_of([each.tree for each in trees])
        log_probs = target_path_log_probs(scored, union.tree, settings.sampling)
        for (tree, budget), each, places in zip(wanted, trees, union.places, strict=True):
            values.append(
                TreeValue(
                    prompt_id=text.prompt_id,
                    family=text.family,
                    start=start,
                    tree=tree,
                    node_budget=budget,
                    target_tokens=expected_tokens(log_probs[places]),
                    own_tokens=expected_tokens(each.tree.path_log_probs),
                    nodes=len(each.tree),
                    depth=int(each.tree.depths.max()),
                    calls=each.cost.calls,
                    expanded_nodes=each.cost.expanded_nodes,
                )
            )
    return values
