"""Traversal, rejection and the two race trees on the same contexts, so that their differences are known.

Traversal verification works back from the leaves, and a tree grown by confidence depends on every law it
asked for, so that neither can be read off laws along the emitted text. Trees are drafted and judged there as
in a trace (`speclight.measure.trace.sampled`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from speclight.arrays import FloatArray
from speclight.drafting.race_confidence import AcceptanceByConfidence, acceptance_by_confidence
from speclight.drafting.tree_choices import ConfidenceTree, RankTree
from speclight.experiments.races.laws import RaceDrafter
from speclight.experiments.races.run import RankedTexts, other_halves
from speclight.experiments.races.settings import TreePlan
from speclight.experiments.races.text_ranks import TextRanks
from speclight.experiments.races.texts import RaceText
from speclight.measure.estimates import Estimate, mean_over
from speclight.measure.plan import run_plan
from speclight.measure.store import RecordFolder, read_arrays, recording, write_arrays
from speclight.measure.trace.sampled import Drafting, JudgedDraft, forest_at, judged_tokens
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent
from speclight.theory.races.matching import RankConvention, RankLaw
from speclight.verification.rules import rule_named

KIND = "race-trees"
BUCKETS = 6
TREE_DRAFTED = (4, 8, 16, 32)
# (rule, tree), in the order of the arrays; the first two verify the same drafts.
VARIANTS = (
    ("rejection_without_replacement", "rank"),
    ("traversal", "rank"),
    ("race", "rank"),
    ("race", "confidence"),
)
# The variant that the others are compared with.
BASELINE = VARIANTS.index(("race", "rank"))
REJECTION = VARIANTS.index(("rejection_without_replacement", "rank"))


@dataclass(frozen=True, slots=True)
class TreeRates:
    """What trees are fitted to, from other texts: mean rank laws, rank 1 first, and those by confidence."""

    coins: tuple[float, ...]
    race: tuple[float, ...]
    confidence: AcceptanceByConfidence

    def drafts(self) -> tuple[JudgedDraft, ...]:
        """In the order of VARIANTS."""
        coins = RankTree(self.coins, kind="without_replacement")
        races = RankTree(self.race, kind="race"), ConfidenceTree(self.confidence)
        return tuple(
            JudgedDraft(rule_named(rule), tree)
            for (rule, _), tree in zip(VARIANTS, (coins, coins, *races), strict=True)
        )


@dataclass(frozen=True, slots=True)
class TreeComparison:
    """One rule on one kind of tree with `drafted` tokens a call (the root not counted).

    contexts, seeds: drafts were sampled `seeds` times at each. monte_carlo_error: standard error of
    tokens_per_call from the noise of the drafts alone; the intervals, over texts, hold it too. minus_race:
    difference to the race on its rank tree at the same contexts; None for that race itself. minus_rejection:
    of traversal, to rejection without replacement of the very same drafts; None for the others.
    """

    drafter: str
    temperature: float
    rule: str
    tree: str
    drafted: int
    contexts: int
    seeds: int
    tokens_per_call: Estimate
    monte_carlo_error: float
    minus_race: Estimate | None
    minus_rejection: Estimate | None


def compare_drafted_trees(
    target: CausalLM,
    drafter: RaceDrafter,
    group: RankedTexts,
    plan: TreePlan,
    cache: Path,
    progress: Progress = silent,
) -> list[TreeComparison]:
    """Draft and verify at the contexts of a plan; trees are fitted to the other half of the texts.

    What the folder `cache` holds is not computed again: a killed run goes on with the first text missing.
    Raises StorageError if it holds trees of another plan.
    """
    halves = [_rates(half) for half in other_halves(group.ranks)]
    name = f"{drafter.name}-temperature-{group.temperature}"
    tokens: list[FloatArray] = []
    with recording(cache / name, _plan(target, drafter, group, plan, halves)) as records:
        for done, text in enumerate(group.texts, start=1):
            rates = halves[text.number % 2]
            tokens.append(_tokens(target, drafter, text, rates, plan, records))
            progress(done, len(group.texts), f"drafted trees, {drafter.name} at {group.temperature}")
    return _rows(group, plan, np.stack(tokens))


def _tokens(
    target: CausalLM,
    drafter: RaceDrafter,
    text: RaceText,
    rates: TreeRates,
    plan: TreePlan,
    records: RecordFolder,
) -> FloatArray:
    """[starts, VARIANTS, TREE_DRAFTED, seeds] tokens of a call, kept in the records once computed."""
    unit = f"temperature-{text.temperature}-text-{text.number:03d}"
    if not (records.folder / f"{unit}.npz").exists():
        sampling, starts = SamplingSettings(text.temperature), sorted(plan.places(text.number))
        budgets = tuple(1 + drafted for drafted in TREE_DRAFTED)
        drafting = Drafting(rates.drafts(), budgets, plan.seeds, seed=0)
        forest = forest_at(target, text.profiled, starts, sampling)
        source = drafter.source(sampling)
        tokens = judged_tokens(target, forest, text.profiled, starts, source, drafting)
        write_arrays(records.folder, unit, {"tokens": tokens})
    return read_arrays(records.folder, unit, ["tokens"])["tokens"]


def _rows(group: RankedTexts, plan: TreePlan, tokens: FloatArray) -> list[TreeComparison]:
    """A row for each variant and number of drafted tokens.

    tokens: [texts, starts, VARIANTS, TREE_DRAFTED, seeds].
    """
    contexts = tokens.shape[0] * tokens.shape[1]
    clusters = [text.prompt_id for text in group.texts for _ in range(plan.starts)]
    means = tokens.mean(axis=-1).reshape(contexts, len(VARIANTS), len(TREE_DRAFTED))
    spread = tokens.reshape(contexts, len(VARIANTS), len(TREE_DRAFTED), -1).var(axis=-1, ddof=1)
    errors = np.sqrt(spread.mean(axis=0) / (contexts * tokens.shape[-1]))
    rows: list[TreeComparison] = []
    for column, drafted in enumerate(TREE_DRAFTED):
        for place, (rule, tree) in enumerate(VARIANTS):
            more = means[:, place, column] - means[:, BASELINE, column]
            better = means[:, place, column] - means[:, REJECTION, column]
            rows.append(
                TreeComparison(
                    group.drafter,
                    group.temperature,
                    rule,
                    tree,
                    drafted,
                    contexts,
                    tokens.shape[-1],
                    mean_over(clusters, means[:, place, column].tolist()),
                    float(errors[place, column]),
                    None if place == BASELINE else mean_over(clusters, more.tolist()),
                    mean_over(clusters, better.tolist()) if rule == "traversal" else None,
                )
            )
    return rows


def _rates(texts: Sequence[TextRanks]) -> TreeRates:
    """Acceptances that trees are fitted to, from calibration texts."""
    coins = np.concatenate([text.rejection_without_replacement for text in texts]).mean(axis=0)
    race = np.concatenate([text.race for text in texts])
    laws = [
        RankLaw(RankConvention.DISTINCT, law, beyond=max(1.0 - float(law.sum()), 0.0), error=0.0)
        for law in race
    ]
    confidences = np.concatenate([text.confidence for text in texts])
    return TreeRates(
        # Made to fall: a rank that came out likelier than the one before it, by chance, needs that one too.
        coins=tuple(np.minimum.accumulate(coins).tolist()),
        race=tuple(race.mean(axis=0).tolist()),
        confidence=acceptance_by_confidence(confidences, laws, BUCKETS),
    )


def _plan(
    target: CausalLM,
    drafter: RaceDrafter,
    group: RankedTexts,
    plan: TreePlan,
    halves: Sequence[TreeRates],
) -> dict[str, object]:
    return run_plan(
        KIND,
        target,
        drafter=list(drafter.identity),
        temperature=group.temperature,
        texts=[[text.prompt_id, list(text.token_ids)] for text in group.texts],
        plan=asdict(plan),
        rates_sha256=[_hash(rates) for rates in halves],
    )


def _hash(rates: TreeRates) -> str:
    """To 9 digits: what is recomputed may differ in the last ones."""
    confidence: AcceptanceByConfidence = rates.confidence
    numbers = [*rates.coins, *rates.race, *confidence.edges.tolist(), *confidence.rates.ravel().tolist()]
    return hashlib.sha256(" ".join(f"{number:.9g}" for number in numbers).encode()).hexdigest()
