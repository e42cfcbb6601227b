"""Races against coins at equal numbers of drafted tokens, on laws recorded along the target's own text.

Every value is exact given the recorded texts and laws (rejection without replacement: unbiased over sampled
histories), so the only uncertainty is which texts were drawn; intervals are over texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speclight.experiments.emitted_ranks import MOST_FOLLOWED_SETS, MOST_K_SEQ_CHILDREN
from speclight.experiments.race_records import Progress, number_of_texts, read_laws
from speclight.experiments.race_trees import (
    batch_tree,
    chain_tree,
    ranks_of,
    tokens_of_block,
    tokens_of_k_seq_tree,
    tokens_of_lists,
    tokens_of_tree,
    tree_for,
)
from speclight.experiments.text_ranks import (
    RANKS,
    TRANSPORT_CANDIDATES,
    DrafterLaw,
    TextRanks,
    text_ranks,
)
from speclight.measure.estimates import mean_over
from speclight.measure.record import Estimate
from speclight.theory.race_speed_up import speed_up, static_tree_path_entropy
from speclight.theory.races import RankConvention
from speclight.theory.rank_entropy import EntropyEstimate, entropy_terms, rank_entropy_from_counts

FloatArray = npt.NDArray[np.float64]

DRAFTED = (1, 2, 4, 6, 8, 16, 32)
DRAFTERS: tuple[DrafterLaw, ...] = ("layer_skip", "ngram")
RANKED_RULES = ("rejection", "rejection_without_replacement", "race_with_replacement", "race")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Tokens per call of one rule and strategy with `drafted` tokens a call (the root not counted)."""

    drafter: str
    temperature: float
    rule: str
    strategy: str
    drafted: int
    tokens_per_call: Estimate


@dataclass(frozen=True, slots=True)
class RankAccounting:
    """What the ranks of the race say at one drafter and temperature.

    contexts: how many. total_variation, match, divergence: means of TV, P(R = 1), D_KL(p || q) in nats.
    pooled_entropy: H[R] of the mean law, nats; conditional_entropy: mean of H(R | context). Both count all
    ranks beyond RANKS as one value, so they are lower bounds and the bounds made of them stay upper ones.
    beyond: mean P(R > RANKS). sampled: H of ranks drawn once at each context, plug-in and Miller-Madow.
    bound_pooled, bound_conditional: per entry of DRAFTED, ln(P (|V| - 1) + 1) over each of the entropies.
    """

    drafter: str
    temperature: float
    contexts: int
    total_variation: float
    match: float
    divergence: float
    pooled_entropy: float
    conditional_entropy: float
    beyond: float
    sampled: EntropyEstimate
    bound_pooled: tuple[float, ...]
    bound_conditional: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RaceComparison:
    """The whole experiment."""

    rows: tuple[Comparison, ...]
    accounting: tuple[RankAccounting, ...]

    def row(self, drafter: str, temperature: float, rule: str, strategy: str, drafted: int) -> Comparison:
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
class _Group:
    """The texts of one drafter and temperature."""

    drafter: DrafterLaw
    temperature: float
    prompt_ids: tuple[str, ...]
    texts: tuple[TextRanks, ...]


def compare(
    records: Path, cache: Path, vocabulary_size: int, progress: Progress | None = None
) -> RaceComparison:
    """Compare all rules on recorded laws; what was computed for a text is kept in `cache` and used again.

    vocabulary_size: |V| of the bounds. Raises what `read_laws` raises.
    """
    rows: list[Comparison] = []
    accounting: list[RankAccounting] = []
    for group in _groups(records, cache, progress):
        rows += _rows(group)
        accounting.append(rank_accounting(group.drafter, group.temperature, group.texts, vocabulary_size))
    return RaceComparison(tuple(rows), tuple(accounting))


def _groups(records: Path, cache: Path, progress: Progress | None) -> list[_Group]:
    members: dict[tuple[DrafterLaw, float], list[tuple[str, TextRanks]]] = {}
    for number, text in enumerate(read_laws(records)):
        for drafter in DRAFTERS:
            found = (text.prompt_id, text_ranks(text, drafter, number, cache))
            members.setdefault((drafter, text.temperature), []).append(found)
        if progress is not None:
            progress(number + 1, number_of_texts(records), "rank laws of every rule along each text")
    return [
        _Group(drafter, temperature, tuple(name for name, _ in found), tuple(text for _, text in found))
        for (drafter, temperature), found in sorted(members.items())
    ]


def _rows(group: _Group) -> list[Comparison]:
    rows: list[Comparison] = []
    for drafted in DRAFTED:
        for rule in RANKED_RULES:
            values = _ranked(group, rule, drafted)
            rows += [_comparison(group, rule, strategy, drafted, value) for strategy, value in values]
        rows += [
            _comparison(group, rule, strategy, drafted, [value(text) for text in group.texts])
            for rule, strategy, value in _others(drafted)
        ]
        rows.append(_comparison(group, "k_seq", "tree", drafted, _k_seq_trees(group, drafted)))
        rows.append(_comparison(group, "gls", "tree", drafted, _best_lists(group, drafted)))
    return rows


def _comparison(
    group: _Group, rule: str, strategy: str, drafted: int, by_text: Sequence[FloatArray]
) -> Comparison:
    clusters = [
        name for name, values in zip(group.prompt_ids, by_text, strict=True) for _ in range(len(values))
    ]
    mean = mean_over(clusters, np.concatenate(by_text).tolist())
    return Comparison(group.drafter, group.temperature, rule, strategy, drafted, mean)


def _ranked(group: _Group, rule: str, drafted: int) -> list[tuple[str, list[FloatArray]]]:
    """Rules with one law of the accepted rank: chain, batch, and the tree fitted to the other half."""
    laws = [ranks_of(text, rule) for text in group.texts]
    needs_lower = rule != "race"
    trees = [tree_for(half, drafted, needs_lower_ranks=needs_lower) for half in _other_halves(laws)]
    return [
        ("sequence", [tokens_of_tree(law, chain_tree(drafted)) for law in laws]),
        ("batch", [tokens_of_tree(law, batch_tree(drafted)) for law in laws]),
        ("tree", [tokens_of_tree(law, trees[number % 2]) for number, law in enumerate(laws)]),
    ]


def _other_halves(laws: list[FloatArray]) -> tuple[list[FloatArray], list[FloatArray]]:
    """What texts of even and of odd number are fitted to: the others, or all where there is only one."""
    return laws[1::2] or laws, laws[0::2]


def _others(drafted: int) -> list[tuple[str, str, Callable[[TextRanks], FloatArray]]]:
    """(rule, strategy, value of a text) where nothing is fitted."""
    place = TRANSPORT_CANDIDATES.index(drafted)
    return [
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


def _k_seq_trees(group: _Group, drafted: int) -> list[FloatArray]:
    """k-seq on the tree fitted to rejection with replacement, with as many children as k-seq is known for."""
    laws = [text.rejection[:, :MOST_K_SEQ_CHILDREN] for text in group.texts]
    trees = [tree_for(half, drafted, needs_lower_ranks=True) for half in _other_halves(laws)]
    return [tokens_of_k_seq_tree(text.k_seq, trees[place % 2]) for place, text in enumerate(group.texts)]


def _best_lists(group: _Group, drafted: int) -> list[FloatArray]:
    """List sampling with the number of chains that is best on the other half's texts, no node left over."""
    shapes = [
        (sets, drafted // sets)
        for sets in range(1, drafted + 1)
        if drafted % sets == 0 and (sets <= MOST_FOLLOWED_SETS or sets == drafted)
    ]
    values = {
        shape: [tokens_of_lists(text.any_set, text.matching_sets, *shape) for text in group.texts]
        for shape in shapes
    }
    best: list[FloatArray] = []
    for number in range(len(group.texts)):
        others = [place for place in range(len(group.texts)) if place % 2 != number % 2] or [number]
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
    distinct = RankConvention.DISTINCT
    return RankAccounting(
        drafter=drafter,
        temperature=temperature,
        contexts=len(ranks),
        total_variation=float(np.mean(np.concatenate([text.total_variation for text in texts]))),
        match=float(laws[:, 0].mean()),
        divergence=float(np.mean(np.concatenate([text.divergence for text in texts]))),
        pooled_entropy=pooled,
        conditional_entropy=conditional,
        beyond=float(beyond.mean()),
        sampled=rank_entropy_from_counts(np.bincount(ranks, minlength=RANKS + 2)[1:]),
        bound_pooled=tuple(speed_up(k + 1, vocabulary_size, pooled, distinct).value for k in DRAFTED),
        bound_conditional=tuple(
            min(static_tree_path_entropy(k + 1, vocabulary_size, distinct) / conditional, k + 1.0)
            for k in DRAFTED
        ),
    )
