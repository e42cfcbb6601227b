"""Expected tokens of one call from a start in a recorded text, exact given the text, by rule and shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.experiments.races.settings import STARTS
from speclight.experiments.races.text_ranks import TextRanks
from speclight.theory.races.rank_tree import RankTree, optimal_rank_tree


def tokens_of_tree(ranks: FloatArray, tree: RankTree, starts: int = STARTS) -> FloatArray:
    """[starts] E[X | text] of calls that begin at contexts 0..starts - 1 and draft a tree of ranks.

    ranks: [contexts, ranks] P(R = m | emitted token). A node is reached if every rank on its path was the
    emitted one, independently given the text. Nodes deeper than the text is recorded count nothing: a lower
    bound, off by the chance to accept that many drafts in a row.
    """
    known = np.pad(ranks, ((0, 0), (0, max(0, int(tree.ranks.max()) - ranks.shape[1]))))
    return _tokens(tree, len(ranks), starts, lambda node, here: known[here, tree.ranks[node] - 1])


def tokens_of_k_seq_tree(k_seq: FloatArray, tree: RankTree, starts: int = STARTS) -> FloatArray:
    """As `tokens_of_tree` for k-seq, whose acceptance depends on how many candidates a node has.

    k_seq: [contexts, candidates + 1, ranks].
    """
    children = np.bincount(tree.parents[1:], minlength=len(tree))
    return _tokens(
        tree,
        len(k_seq),
        starts,
        lambda node, here: k_seq[here, children[tree.parents[node]], tree.ranks[node] - 1],
    )


def _tokens(
    tree: RankTree, contexts: int, starts: int, accepted: Callable[[int, IntArray], FloatArray]
) -> FloatArray:
    """[starts] expected nodes reached. accepted: (node, contexts [*] of its parent) -> [*] probabilities."""
    reached, depths = np.zeros((starts, len(tree))), np.zeros(len(tree), dtype=np.int64)
    reached[:, 0] = 1.0
    for node in range(1, len(tree)):
        parent = int(tree.parents[node])
        depths[node] = depths[parent] + 1
        here = np.arange(starts) + depths[parent]
        inside = here < contexts
        reached[inside, node] = reached[inside, parent] * accepted(node, here[inside])
    return reached.sum(axis=1)


def tokens_of_block(ratio: FloatArray, drafted: int, starts: int = STARTS) -> FloatArray:
    """[starts] E[X | text] of block verification of a chain of `drafted` tokens.

    ratio: [contexts] q(y) / p(y) of the emitted tokens. A drafted prefix x is emitted with chance w(x), w_i =
    min(1, w_{i-1} p / q); weighing drafts by p / q turns the mean over drafts into one over texts, in which
    the prefix counts min over j <= i of prod_{l <= j} q / p. Origin: ours.
    """
    totals = np.ones(starts)
    for start in range(starts):
        product, smallest = 1.0, 1.0
        for step in ratio[start : start + drafted].tolist():
            product *= step
            smallest = min(smallest, product)
            totals[start] += smallest
    return totals


def tokens_of_any_rule(ratio: FloatArray, drafted: int, starts: int = STARTS) -> FloatArray:
    """[starts] The most of E[X | text] that any lossless rule reaches with a chain of `drafted` tokens.

    1 + sum_i min(1, prod_{l <= i} q / p), whatever randomness drafter and rule share: the coupling bound.
    ratio: [contexts] q(y) / p(y) of the emitted tokens. Source: ours, docs/theory/drafter.md.
    """
    totals = np.ones(starts)
    for start in range(starts):
        totals[start] += np.minimum(np.cumprod(ratio[start : start + drafted]), 1.0).sum()
    return totals


def tokens_of_lists(
    any_set: FloatArray, matching_sets: FloatArray, noise_sets: int, length: int, starts: int = STARTS
) -> FloatArray:
    """[starts] E[X | text] of list sampling over `noise_sets` chains of `length` tokens.

    any_set: [contexts, sets + 1], matching_sets: [contexts, sets + 1, sets + 1] as EmittedRanks. The number
    of chains still followed is a Markov chain given the text.
    """
    totals = 1.0 + any_set[:starts, noise_sets]
    if length == 1:
        return totals
    active = matching_sets[:starts, noise_sets]
    for depth in range(1, length):
        here = np.arange(starts) + depth
        inside = here < len(matching_sets)
        following = np.zeros_like(active)
        following[:, 0] = 1.0
        following[inside] = np.einsum("sj,sjk->sk", active[inside], matching_sets[here[inside]])
        active = following
        totals = totals + 1.0 - active[:, 0]
    return totals


def chain_tree(drafted: int) -> RankTree:
    """A chain of rank-1 candidates (path probabilities are left at 1: nothing is known of them)."""
    nodes = drafted + 1
    ranks = np.minimum(np.arange(nodes), 1)
    return RankTree(np.arange(-1, drafted), ranks, np.ones(nodes))


def batch_tree(drafted: int) -> RankTree:
    """Ranks 1..drafted below the root."""
    parents = np.append(-1, np.zeros(drafted, dtype=np.int64))
    return RankTree(parents, np.arange(drafted + 1), np.ones(drafted + 1))


def tree_for(ranks: Sequence[FloatArray], drafted: int, *, needs_lower_ranks: bool) -> RankTree:
    """The best rank tree for the mean rank law of calibration texts, [contexts, ranks] each.

    Where lower ranks are needed the mean is made to fall first: a rank that came out likelier than the one
    before it, by chance of the texts, would not be drafted without it anyway.
    """
    mean = np.concatenate(ranks).mean(axis=0)
    if needs_lower_ranks:
        mean = np.minimum.accumulate(mean)
    return optimal_rank_tree(mean, drafted, needs_lower_ranks=needs_lower_ranks)


def ranks_of(text: TextRanks, rule: str) -> FloatArray:
    """[contexts, ranks] of a rule with one rank law, by its name."""
    return {
        "race": text.race,
        "race_with_replacement": text.race_with_replacement,
        "rejection": text.rejection,
        "rejection_without_replacement": text.rejection_without_replacement,
    }[rule]
