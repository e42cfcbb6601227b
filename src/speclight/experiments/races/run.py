"""Races against coins at equal numbers of drafted tokens, by the laws along the target's own text.

Every value is exact given the texts and laws (rejection without replacement: unbiased over sampled
histories), so the only uncertainty is which texts were drawn; intervals are over texts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from speclight.arrays import FloatArray
from speclight.experiments.races.laws import RaceDrafter
from speclight.experiments.races.text_ranks import (
    RANKS,
    TRANSPORT_CANDIDATES,
    TextRanks,
    text_ranks,
)
from speclight.experiments.races.texts import RaceText
from speclight.experiments.races.values import (
    batch_tree,
    chain_tree,
    ranks_of,
    tokens_of_any_rule,
    tokens_of_block,
    tokens_of_k_seq_tree,
    tokens_of_lists,
    tokens_of_tree,
    tree_for,
)
from speclight.measure.estimates import Estimate, mean_over
from speclight.measure.plan import run_plan
from speclight.measure.store import recording
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.theory.races.emitted_ranks import MOST_FOLLOWED_SETS, MOST_K_SEQ_CHILDREN
from speclight.theory.races.matching import RankConvention
from speclight.theory.races.rank_entropy import EntropyEstimate, entropy_terms, rank_entropy_from_counts
from speclight.theory.races.speed_up import speed_up, static_tree_path_entropy

Item = TypeVar("Item")

DRAFTED = (1, 2, 4, 6, 8, 16, 32)
KIND = "race-ranks"
# Its value is the coupling bound: what no lossless rule exceeds with a chain of these drafts.
ANY_RULE = "any lossless rule"
# Rank laws of races are integrated to about this error.
LIMIT_RTOL = 1e-3
RANKED_RULES = ("rejection", "rejection_without_replacement", "race_with_replacement", "race")


@dataclass(frozen=True, slots=True)
class RuleComparison:
    """Tokens per call of one rule and strategy with `drafted` tokens a call (the root not counted).

    race_minus: what the race of the same strategy and number emits more, at the same contexts; None for the
    race itself and where the contexts differ (optimal transport is known at fewer).
    """

    drafter: str
    temperature: float
    rule: str
    strategy: str
    drafted: int
    tokens_per_call: Estimate
    race_minus: Estimate | None


@dataclass(frozen=True, slots=True)
class RankAccounting:
    """What the ranks of the race say at one drafter and temperature.

    contexts: how many. total_variation, match, divergence: means of TV, P(R = 1), D_KL(p || q) in nats.
    missing: mean mass of the target on tokens the drafter has no place for; above 0, D_KL is infinite.
    pooled_entropy: H[R] of the mean law, nats; conditional_entropy: mean of H(R | context). Both count all
    ranks beyond RANKS as one value, so they are lower bounds and the bounds made of them stay upper ones.
    beyond: mean P(R > RANKS). sampled: H of ranks drawn once at each context, plug-in and Miller-Madow.
    bound_pooled, bound_conditional: per entry of DRAFTED, ln(P (|V| - 1) + 1) over each of the entropies.
    independent, along_texts: likewise, tokens per call of the race on the tree fitted to these very texts: as
    if ranks along a path were independent, and as they are.
    """

    drafter: str
    temperature: float
    contexts: int
    total_variation: float
    match: float
    divergence: float
    missing: float
    pooled_entropy: float
    conditional_entropy: float
    beyond: float
    sampled: EntropyEstimate
    bound_pooled: tuple[float, ...]
    bound_conditional: tuple[float, ...]
    independent: tuple[float, ...]
    along_texts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RaceComparison:
    """The whole experiment.

    above_coupling_bound: what cannot be: "rule, drafter, temperature, drafted" of chains that some rule
    emits more of than any lossless rule can, at some start of a text.
    """

    rows: tuple[RuleComparison, ...]
    accounting: tuple[RankAccounting, ...]
    above_coupling_bound: tuple[str, ...] = ()

    def has_rows(self, drafter: str, temperature: float, strategy: str) -> bool:
        """Whether this strategy was compared for this drafter."""
        return any(
            (row.drafter, row.temperature, row.strategy) == (drafter, temperature, strategy)
            for row in self.rows
        )

    def row(self, drafter: str, temperature: float, rule: str, strategy: str, drafted: int) -> RuleComparison:
        """One row. Raises KeyError if it was not computed."""
        for row in self.rows:
            if (row.drafter, row.temperature, row.rule, row.strategy, row.drafted) == (
                drafter,
                temperature,
                rule,
                strategy,
                drafted,
            ):
                return row
        raise KeyError((drafter, temperature, rule, strategy, drafted))


@dataclass(frozen=True, slots=True, eq=False)
class RankedTexts:
    """The texts of one drafter and temperature with their rank laws.

    has_static_laws: whether the laws at the contexts are those of deeper drafted nodes too: see
    RaceDrafter.is_function_of_text.
    """

    drafter: str
    temperature: float
    has_static_laws: bool
    texts: tuple[RaceText, ...]
    ranks: tuple[TextRanks, ...]


def rank_texts(
    target: CausalLM,
    drafters: Sequence[RaceDrafter],
    texts: Sequence[RaceText],
    cache: Path,
    progress: Progress = silent,
) -> list[RankedTexts]:
    """The rank laws of every drafter along every text; what the folder `cache` holds is not computed again.

    The text is the unit of work: a killed run goes on with the first one missing. Raises StorageError if
    `cache` holds ranks of another target, drafter or set of texts.
    """
    groups: list[RankedTexts] = []
    done, total = 0, len(drafters) * len(texts)
    for drafter in drafters:
        ranks: list[TextRanks] = []
        with recording(cache / drafter.name, _plan(target, drafter, texts)) as records:
            for text in texts:
                ranks.append(text_ranks(target, drafter, text, records.folder))
                done += 1
                progress(done, total, f"rank laws of every rule along the texts, {drafter.name}")
        for temperature in sorted({text.temperature for text in texts}):
            chosen = [place for place, text in enumerate(texts) if text.temperature == temperature]
            groups.append(
                RankedTexts(
                    drafter.name,
                    temperature,
                    drafter.is_function_of_text,
                    tuple(texts[place] for place in chosen),
                    tuple(ranks[place] for place in chosen),
                )
            )
    return groups


def _plan(target: CausalLM, drafter: RaceDrafter, texts: Sequence[RaceText]) -> dict[str, object]:
    of_texts = json.dumps([asdict(text) for text in texts], sort_keys=True).encode()
    return run_plan(
        KIND,
        target,
        drafter=list(drafter.identity),
        texts_sha256=hashlib.sha256(of_texts).hexdigest(),
    )


def compare(groups: Sequence[RankedTexts], vocabulary_size: int) -> RaceComparison:
    """Compare all rules. vocabulary_size: |V| of the bounds.

    Where a drafter's law depends on who wrote the text, only batches are compared: one level deep.
    """
    rows: list[RuleComparison] = []
    above: list[str] = []
    for group in groups:
        for drafted in DRAFTED:
            values = _values(group, drafted)
            found = _rows(group, drafted, values)
            rows += found if group.has_static_laws else [row for row in found if row.strategy == "batch"]
            above += [
                f"{rule}, {group.drafter}, {group.temperature:g}, {drafted}"
                for rule in rules_above_coupling_bound(values)
            ]
    return RaceComparison(
        tuple(rows),
        tuple(
            rank_accounting(group.drafter, group.temperature, group.ranks, vocabulary_size)
            for group in groups
        ),
        tuple(above),
    )


def rules_above_coupling_bound(values: Mapping[tuple[str, str], Sequence[FloatArray]]) -> list[str]:
    """Rules whose chains emit more at some start than the coupling bound of the same drafts allows.

    values: per rule and strategy, E[X | text] at the starts of each text. The bound holds text by text, so
    no sampling error excuses a rule that lies above it.
    """
    most = np.concatenate(values[ANY_RULE, "sequence"]) * (1.0 + LIMIT_RTOL)
    return [
        rule
        for (rule, strategy), by_text in values.items()
        if strategy == "sequence" and (np.concatenate(by_text) > most).any()
    ]


def _rows(
    group: RankedTexts, drafted: int, values: Mapping[tuple[str, str], Sequence[FloatArray]]
) -> list[RuleComparison]:
    rows: list[RuleComparison] = []
    for (rule, strategy), by_text in values.items():
        race = values["race", strategy]
        known = rule != "race" and len(by_text[0]) == len(race[0])
        less = [mine - theirs for mine, theirs in zip(race, by_text, strict=True)] if known else None
        rows.append(
            RuleComparison(
                group.drafter,
                group.temperature,
                rule,
                strategy,
                drafted,
                _mean(group, by_text),
                None if less is None else _mean(group, less),
            )
        )
    return rows


def _values(group: RankedTexts, drafted: int) -> dict[tuple[str, str], list[FloatArray]]:
    """E[X | text] at the starts of each text, by rule and strategy."""
    values: dict[tuple[str, str], list[FloatArray]] = {}
    for rule in RANKED_RULES:
        values |= {(rule, strategy): by_text for strategy, by_text in _ranked(group, rule, drafted)}
    for rule, strategy, value in _others(drafted):
        values[rule, strategy] = [value(text) for text in group.ranks]
    values["k_seq", "tree"] = _k_seq_trees(group, drafted)
    values["gls", "tree"] = _best_lists(group, drafted)
    return values


def _mean(group: RankedTexts, by_text: Sequence[FloatArray]) -> Estimate:
    clusters = [
        text.prompt_id for text, values in zip(group.texts, by_text, strict=True) for _ in range(len(values))
    ]
    return mean_over(clusters, np.concatenate(by_text).tolist())


def _ranked(group: RankedTexts, rule: str, drafted: int) -> list[tuple[str, list[FloatArray]]]:
    """Rules with one law of the accepted rank: chain, batch, and the tree fitted to the other half."""
    laws = [ranks_of(text, rule) for text in group.ranks]
    needs_lower = rule != "race"
    trees = [tree_for(half, drafted, needs_lower_ranks=needs_lower) for half in other_halves(laws)]
    return [
        ("sequence", [tokens_of_tree(law, chain_tree(drafted)) for law in laws]),
        ("batch", [tokens_of_tree(law, batch_tree(drafted)) for law in laws]),
        ("tree", [tokens_of_tree(law, trees[number % 2]) for number, law in enumerate(laws)]),
    ]


def other_halves(items: Sequence[Item]) -> tuple[Sequence[Item], Sequence[Item]]:
    """What texts of even and of odd number are fitted to: the others, or all where there is only one."""
    return items[1::2] or items, items[0::2]


def _others(drafted: int) -> list[tuple[str, str, Callable[[TextRanks], FloatArray]]]:
    """(rule, strategy, value of a text) where nothing is fitted."""
    place = TRANSPORT_CANDIDATES.index(drafted)
    return [
        (ANY_RULE, "sequence", lambda text: tokens_of_any_rule(text.ratio, drafted)),
        ("block", "sequence", lambda text: tokens_of_block(text.ratio, drafted)),
        ("k_seq", "sequence", lambda text: tokens_of_k_seq_tree(text.k_seq, chain_tree(drafted))),
        ("k_seq", "batch", lambda text: tokens_of_k_seq_tree(text.k_seq, batch_tree(drafted))),
        ("gls", "sequence", lambda text: tokens_of_lists(text.any_set, text.matching_sets, 1, drafted)),
        ("gls", "batch", lambda text: tokens_of_lists(text.any_set, text.matching_sets, drafted, 1)),
        # The same contexts as the two rows of optimal transport, which are fewer than those of the others.
        (
            "race, where transport is known",
            "batch",
            lambda text: 1.0 + text.rank_law[:, :drafted].sum(axis=1),
        ),
        ("transport, independent", "batch", lambda text: 1.0 + text.with_transport[:, place]),
        ("transport, distinct", "batch", lambda text: 1.0 + text.without_transport[:, place]),
    ]


def _k_seq_trees(group: RankedTexts, drafted: int) -> list[FloatArray]:
    """k-seq on the tree fitted to rejection with replacement, with as many children as k-seq is known for."""
    laws = [text.rejection[:, :MOST_K_SEQ_CHILDREN] for text in group.ranks]
    trees = [tree_for(half, drafted, needs_lower_ranks=True) for half in other_halves(laws)]
    return [tokens_of_k_seq_tree(text.k_seq, trees[place % 2]) for place, text in enumerate(group.ranks)]


def _best_lists(group: RankedTexts, drafted: int) -> list[FloatArray]:
    """List sampling with the number of chains that is best on the other half's texts, no node left over."""
    shapes = [
        (sets, drafted // sets)
        for sets in range(1, drafted + 1)
        if drafted % sets == 0 and (sets <= MOST_FOLLOWED_SETS or sets == drafted)
    ]
    values = {
        shape: [tokens_of_lists(text.any_set, text.matching_sets, *shape) for text in group.ranks]
        for shape in shapes
    }
    best: list[FloatArray] = []
    for number in range(len(group.ranks)):
        others = [place for place in range(len(group.ranks)) if place % 2 != number % 2] or [number]
        shape = max(shapes, key=lambda shape: float(np.mean([values[shape][place] for place in others])))
        best.append(values[shape][number])
    return best


def rank_accounting(
    drafter: str, temperature: float, texts: Sequence[TextRanks], vocabulary_size: int
) -> RankAccounting:
    """The entropies of the race's rank and the bounds they give. vocabulary_size: |V| of the bounds."""
    laws = np.concatenate([text.rank_law for text in texts])
    beyond = np.maximum(1.0 - laws.sum(axis=1), 0.0)
    full = np.column_stack([laws, beyond])
    pooled = float(entropy_terms(full.mean(axis=0)).sum())
    conditional = float(entropy_terms(full).sum(axis=1).mean())
    ranks = np.concatenate([text.rank for text in texts]).astype(np.int64)
    emitted = [text.race for text in texts]
    trees = [tree_for(emitted, drafted, needs_lower_ranks=False) for drafted in DRAFTED]
    distinct = RankConvention.DISTINCT
    return RankAccounting(
        drafter=drafter,
        temperature=temperature,
        contexts=len(ranks),
        total_variation=float(np.mean(np.concatenate([text.total_variation for text in texts]))),
        match=float(laws[:, 0].mean()),
        divergence=float(np.mean(np.concatenate([text.divergence for text in texts]))),
        missing=float(np.mean(np.concatenate([text.missing for text in texts]))),
        pooled_entropy=pooled,
        conditional_entropy=conditional,
        beyond=float(beyond.mean()),
        sampled=rank_entropy_from_counts(np.bincount(ranks, minlength=RANKS + 2)[1:]),
        bound_pooled=tuple(speed_up(k + 1, vocabulary_size, pooled, distinct).value for k in DRAFTED),
        bound_conditional=tuple(
            min(static_tree_path_entropy(k + 1, vocabulary_size, distinct) / conditional, k + 1.0)
            for k in DRAFTED
        ),
        independent=tuple(tree.expected_tokens for tree in trees),
        along_texts=tuple(
            float(np.concatenate([tokens_of_tree(each, tree) for each in emitted]).mean()) for tree in trees
        ),
    )
