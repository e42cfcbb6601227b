"""Generated tokens per target call against H[R]: a draft tree is a code for the ranks along the path.

The call ends at the first undrafted child of the path: a leaf of the tree. The leaf tells all ranks
R_1..R_X of the call, so its entropy, at most the log of the number of leaves, pays for X ranks.
Source: arXiv 2504.15475, "Speculative Sampling via Exponential Races", as quoted in public summaries; the
body was not available. Proofs, the tighter form, the converse and the form for dependent ranks are ours.
"""

from __future__ import annotations

from enum import StrEnum
from math import isfinite, log

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bisection import increasing_root
from speclight.theory.bound import Assumption, Bound, Origin, check_count, check_node_budget
from speclight.theory.races.matching import RankConvention
from speclight.theory.races.rank_entropy import entropy_terms

PAPER = "arXiv 2504.15475 (abstract and public summaries; body not available)"


class RaceAssumption(StrEnum):
    """What a bound on speculation by ranks takes for granted; the value is the sentence to show."""

    IID_RANKS = "the ranks along a path are i.i.d. with the entropy given: not a bound for a real model"
    DISTINCT_RANKS = "R is a distinct rank, with at most as many values as the vocabulary has tokens"
    STATIC_TREE = "which ranks are drafted is fixed before the call's tokens and noise are seen"
    RANK_TREE = "the tree is the best one for the law of R, and one of the candidates is always emitted"


IID_DISTINCT_STATIC = (
    RaceAssumption.IID_RANKS,
    RaceAssumption.DISTINCT_RANKS,
    RaceAssumption.STATIC_TREE,
)


def speed_up(
    node_budget: int, vocabulary_size: int, rank_entropy: float, convention: RankConvention
) -> Bound:
    """E[X] <= ln(P (|V| - 1) + 1) / H[R], P = k + 1 positions: a tree of P inner nodes has that many leaves.

    rank_entropy: H[R], nats, of the distinct rank. Raises InvalidInput for the arrival index, which takes
    infinitely many values: with p = (0, 1), q = (0.999, 0.001) and one draft, E[X] = 1.001 but the formula
    gives 0.14; use `speed_up_with_replacement`.
    """
    leaves = _log_leaves(node_budget, vocabulary_size, convention)
    return _upper("race_speed_up", _quotient(leaves, rank_entropy, node_budget), IID_DISTINCT_STATIC)


def speed_up_as_printed(
    node_budget: int, vocabulary_size: int, rank_entropy: float, convention: RankConvention
) -> Bound:
    """E[X] <= (ln |V| + ln P) / H[R], the quoted form: never below `speed_up`. Same arguments and errors."""
    _log_leaves(node_budget, vocabulary_size, convention)
    numerator = log(vocabulary_size) + log(node_budget)
    value = _quotient(numerator, rank_entropy, node_budget)
    return _upper("race_speed_up_as_printed", value, IID_DISTINCT_STATIC, PAPER, "as printed")


def speed_up_with_replacement(node_budget: int, rank_entropy: float, last_rank_entropy: float) -> Bound:
    """E[X] <= (ln P + H[last R | node]) / H[R] for an R without largest value (arrival index, rejection).

    rank_entropy: H[R], nats. last_rank_entropy: the largest entropy of R given that R exceeds the number of
    children drafted below a node (`residual_rank_entropy`), nats. It replaces ln |V| of `speed_up`.
    """
    _check_entropy(last_rank_entropy, "last_rank_entropy")
    numerator = log(check_node_budget(node_budget)) + last_rank_entropy
    return _upper(
        "race_speed_up_with_replacement",
        _quotient(numerator, rank_entropy, node_budget),
        (RaceAssumption.IID_RANKS, RaceAssumption.STATIC_TREE),
    )


def residual_rank_entropy(rank_probabilities: FloatArray, drafted_children: int) -> float:
    """H(R | R > b) in nats for a law given in full, b = drafted_children >= 0; 0 where R never exceeds b."""
    tail = np.asarray(rank_probabilities, dtype=np.float64)[drafted_children:]
    mass = float(tail.sum())
    return float(entropy_terms(tail / mass).sum()) if mass > 0.0 else 0.0


def static_tree_path_entropy(node_budget: int, vocabulary_size: int, convention: RankConvention) -> float:
    """Ceiling, nats, on E[sum over the X ranks of a call of H(R | context)]: ln(P (|V| - 1) + 1).

    Holds without independence for any static tree of distinct ranks, H(R | context) the entropy of R given
    the context's two laws: given the path so far the leaf still has to name the next rank. Errors as
    `speed_up`. Origin: ours.
    """
    return _log_leaves(node_budget, vocabulary_size, convention)


def speed_up_static_tree(
    node_budget: int,
    vocabulary_size: int,
    path_entropies: FloatArray,
    tokens_emitted: FloatArray,
    convention: RankConvention,
) -> Bound:
    """E[X] <= ln(P (|V| - 1) + 1) / h, h = E[sum H(R | context)] / E[X]: no independence of contexts needed.

    path_entropies: [calls] sum of H(R | context), nats, over the tokens that call emitted (the target's own
    included). tokens_emitted: [calls] X >= 1 of each. Both only enter through their means, so the value is
    a statement about a long run of calls, up to their sampling error. Origin: ours.
    Raises InvalidInput on empty or unequal arrays, negative entropies or X < 1.
    """
    entropies, tokens = np.asarray(path_entropies, np.float64), np.asarray(tokens_emitted, np.float64)
    if entropies.ndim != 1 or entropies.shape != tokens.shape or not len(tokens):
        raise InvalidInput(
            f"path entropies and emitted tokens must be vectors of one length >= 1, got shapes "
            f"{entropies.shape} and {tokens.shape}; give one entry per target call"
        )
    if not (entropies >= 0.0).all() or not (tokens >= 1.0).all():
        raise InvalidInput("every call has a path entropy >= 0 nats and emits at least 1 token")
    leaves = _log_leaves(node_budget, vocabulary_size, convention)
    value = _quotient(leaves, float(entropies.mean() / tokens.mean()), node_budget)
    assumptions = (RaceAssumption.DISTINCT_RANKS, RaceAssumption.STATIC_TREE)
    return _upper("race_speed_up_static_tree", value, assumptions)


def speed_up_converse(node_budget: int, rank_entropy: float) -> Bound:
    """E[X] H[R] >= ln P - ln E[X] for the best rank tree, solved for E[X] (Lambert's W(P H) / H).

    In that tree no leaf is likelier than any inner node, the P inner nodes have total probability E[X], so
    every leaf has probability at most E[X] / P. Raises InvalidInput unless H[R] is finite and >= 0.
    """
    budget = check_node_budget(node_budget)
    entropy = _check_entropy(rank_entropy, "rank_entropy")
    value = increasing_root(
        lambda tokens: tokens * entropy + log(tokens / budget), 1.0 / budget, float(budget)
    )
    return Bound(
        name="race_speed_up_converse",
        value=value,
        side="lower",
        assumptions=(RaceAssumption.IID_RANKS, RaceAssumption.RANK_TREE),
        source="ours",
        origin="ours",
        validity="P >= 1; H[R] = 0 gives P",
    )


def tunstall_limit(node_budget: int, rank_entropy: float) -> Bound:
    """The limit ln k / H[R], k = P - 1: leading order of E[X] in the best rank tree (Tunstall's).

    Raises InvalidInput for k = 0 or H[R] = 0, where there is no such limit.
    """
    budget = check_node_budget(node_budget)
    entropy = _check_entropy(rank_entropy, "rank_entropy")
    if budget < 2 or entropy == 0.0:
        raise InvalidInput(
            f"the limit ln k / H[R] needs k >= 1 drafted tokens and H[R] > 0, got k = {budget - 1} and "
            f"H[R] = {entropy}; use speed_up, which holds for every tree"
        )
    return Bound(
        name="tunstall_limit",
        value=log(budget - 1) / entropy,
        side="asymptotic",
        assumptions=(RaceAssumption.IID_RANKS, RaceAssumption.RANK_TREE, Assumption.LARGE_BUDGET),
        source=PAPER,
        origin="as printed",
        validity="k >= 1 and H[R] > 0",
    )


def _log_leaves(node_budget: int, vocabulary_size: int, convention: RankConvention) -> float:
    """ln(P (|V| - 1) + 1), refusing the index for which the leaves cannot be counted."""
    if convention is not RankConvention.DISTINCT:
        raise InvalidInput(
            "counting leaves by the vocabulary needs a rank with at most |V| values; the arrival index has "
            "no largest value, and D_KL <= H[R], which it obeys, would make the pair inconsistent: use "
            "distinct ranks, or speed_up_with_replacement"
        )
    return log(check_node_budget(node_budget) * (check_count(vocabulary_size, "vocabulary_size") - 1) + 1)


def _quotient(numerator: float, rank_entropy: float, node_budget: int) -> float:
    """The numerator over H[R], at most P."""
    entropy, budget = _check_entropy(rank_entropy, "rank_entropy"), float(node_budget)
    return min(numerator / entropy, budget) if entropy > 0.0 else budget


def _upper(
    name: str,
    value: float,
    assumptions: tuple[RaceAssumption, ...],
    source: str = "ours",
    origin: Origin = "ours",
) -> Bound:
    validity = "P >= 1, H[R] >= 0; where the quotient exceeds P (a call cannot emit more) it is P"
    return Bound(name, value, "upper", assumptions, source, origin, validity)


def _check_entropy(entropy: float, name: str) -> float:
    if not isfinite(entropy) or entropy < 0.0:
        raise InvalidInput(f"{name} must be a finite number of nats >= 0, got {entropy}")
    return entropy
