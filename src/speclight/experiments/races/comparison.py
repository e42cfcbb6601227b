"""All of `speclight experiment race-vs-rejection`: each part goes on where a killed run stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from speclight.decoding.settings import DecodeSettings
from speclight.drafting.drafter_choices import NGram
from speclight.drafting.drafters import new_drafter
from speclight.drafting.growth_start import growth_start
from speclight.drafting.protocol import LawSource
from speclight.drafting.tree_choices import RankTree
from speclight.drafting.tree_drafter import TreeDrafter
from speclight.experiments.races.invariance import DrafterMaker, Invariance, RandomLaw, drafter_invariance
from speclight.experiments.races.laws import RaceDrafter
from speclight.experiments.races.run import RaceComparison, compare, rank_texts
from speclight.experiments.races.settings import InvarianceSettings, RaceExperimentSettings
from speclight.experiments.races.texts import sample_race_texts
from speclight.experiments.races.tree_comparison import TreeComparison, compare_drafted_trees
from speclight.measure.plan import run_plan
from speclight.measure.prompts import Prompt
from speclight.measure.store import read_table, recording
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids, conversation
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent

# Acceptance that the trees of the invariance part are fitted to: any would do, this one branches.
ACCEPTANCE = tuple(0.5 * 0.4**rank for rank in range(8))


@dataclass(frozen=True, slots=True)
class RaceExperiment:
    """All results."""

    comparison: RaceComparison
    trees: tuple[TreeComparison, ...]
    invariance: tuple[Invariance, ...]


def run_race_experiment(
    target: CausalLM,
    drafters: Sequence[RaceDrafter],
    prompts: tuple[Prompt, ...],
    settings: RaceExperimentSettings,
    folder: Path,
    progress: Progress = silent,
    also_invariant: Sequence[RaceDrafter] = (),
) -> RaceExperiment:
    """Run what the folder does not hold yet. Raises what the parts raise.

    also_invariant: drafters for the invariance part alone.
    """
    texts = sample_race_texts(target, prompts, settings.texts, folder / "texts", progress)
    groups = rank_texts(target, drafters, texts, folder / "ranks", progress)
    by_name = {drafter.name: drafter for drafter in drafters}
    trees: list[TreeComparison] = []
    for group in groups:
        drafted = group.drafter in (settings.tree_drafters or by_name)
        if settings.trees is not None and drafted and group.temperature in settings.tree_temperatures:
            drafter = by_name[group.drafter]
            trees += compare_drafted_trees(target, drafter, group, settings.trees, folder / "trees", progress)
    invariance = _invariance(
        target,
        [*drafters, *also_invariant],
        prompts,
        settings.invariance,
        folder / "invariance",
        progress,
    )
    return RaceExperiment(compare(groups, target.vocabulary_size), tuple(trees), tuple(invariance))


def _invariance(
    target: CausalLM,
    drafters: Sequence[RaceDrafter],
    prompts: tuple[Prompt, ...],
    settings: InvarianceSettings,
    folder: Path,
    progress: Progress,
) -> list[Invariance]:
    if settings.prompts == 0:
        return []
    plan = run_plan(
        "race-invariance",
        target,
        settings=asdict(settings),
        prompt_ids=[prompt.prompt_id for prompt in prompts[: settings.prompts]],
    )
    contexts = [chat_token_ids(target, conversation(prompt.turns)) for prompt in prompts[: settings.prompts]]
    sampling = SamplingSettings(settings.temperature)
    makers = _makers(target, drafters, sampling)
    identities = {drafter.name: "-".join(drafter.identity)[:24] for drafter in drafters}
    rows: list[Invariance] = []
    with recording(folder, plan) as records:
        for name, make in makers.items():
            for node_budget in settings.node_budgets:
                unit = f"{name}-{identities.get(name, 'fixed')}-P-{node_budget}".replace("/", "-")
                if not records.has(unit):
                    decode = DecodeSettings(max_tokens=settings.tokens, sampling=sampling)
                    found = drafter_invariance(target, contexts, {name: make}, [node_budget], decode)
                    records.write(unit, pa.Table.from_pylist([asdict(row) for row in found]))
                rows += [Invariance(**row) for row in read_table(folder, unit).to_pylist()]
                progress(len(rows), len(makers) * len(settings.node_budgets), "one text for every drafter")
    return rows


def _makers(
    target: CausalLM, drafters: Sequence[RaceDrafter], sampling: SamplingSettings
) -> dict[str, DrafterMaker]:
    """Race drafts on a rank tree from every law; besides, prompt lookup's most probable tokens."""
    start = growth_start(RankTree(ACCEPTANCE, kind="race"), target)

    def on_rank_tree(source: LawSource) -> TreeDrafter:
        return TreeDrafter(source, start)

    makers: dict[str, DrafterMaker] = {
        "random": lambda: on_rank_tree(RandomLaw(target.vocabulary_size)),
        "ngram, most probable tokens": lambda: new_drafter(NGram(), target),
    }
    for drafter in drafters:
        makers[drafter.name] = partial(lambda source: on_rank_tree(source(sampling)), drafter.source)
    return makers
