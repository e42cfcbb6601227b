"""Trees seen in sampled text: lower bounds on the best E[X] of a context, from probabilities that are known.

Ours; proofs in docs/theory/certificates.md. Whatever prefixes were seen, sampled or listed as alternatives,
each has an exactly known P(v), and any P of them sum to at most the best tree's E[X] (Lemma 1).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import exp

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption, Bound, check_node_budget
from speclight.theory.ergodic.bootstrap import ratio_standard_error
from speclight.theory.laws.listed_tokens import ListedTokens
from speclight.theory.laws.sampled_text import SampledText
from speclight.theory.laws.start_law import StartLaw, Starts, eligible_starts


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class Continuation:
    """One continuation of a context, sampled or not: what counts is that the probabilities are the target's.

    tokens, log_probs: [tokens]. alternatives: for each position the other tokens known there and their
    log-probabilities, as an API's `top_logprobs`; the continuation's own token may be among them. Empty where
    none are known. Raises InvalidInput for arrays of different lengths, or a log-probability above 0.
    """

    tokens: IntArray
    log_probs: FloatArray
    alternatives: Sequence[tuple[IntArray, FloatArray]] = ()

    def __post_init__(self) -> None:
        known = [(self.tokens, self.log_probs), *self.alternatives]
        for tokens, log_probs in known:
            if len(tokens) != len(log_probs) or (np.asarray(log_probs) > 1e-6).any():
                raise InvalidInput(
                    f"a continuation needs one log-probability <= 0 for each token, got {len(tokens)} tokens "
                    f"and {len(log_probs)} numbers"
                )
        if len(self.alternatives) not in (0, len(self.tokens)):
            raise InvalidInput(
                f"alternatives are known at all of {len(self.tokens)} positions or at none, got "
                f"{len(self.alternatives)}"
            )


def seen_tree(
    continuations: Sequence[Continuation], node_budget: int, end_tokens: Collection[int] = ()
) -> float:
    """E[X] of the P likeliest prefixes seen, root included: at most the best E[X] of the context they follow.

    Alternatives beside the tokens of a continuation are prefixes seen as well. A prefix that reaches an
    end-of-text token is no node.
    """
    budget = check_node_budget(node_budget)
    seen: dict[tuple[int, ...], float] = {}
    for continuation in continuations:
        path, total = (), 0.0
        for place, token in enumerate(continuation.tokens.tolist()):
            if len(path) + 1 >= budget:
                break
            if continuation.alternatives:
                others, log_probs = continuation.alternatives[place]
                for other, log_prob in zip(others.tolist(), log_probs.tolist(), strict=True):
                    if other not in end_tokens:
                        seen[*path, other] = exp(total + min(log_prob, 0.0))
            if token in end_tokens:
                break
            path, total = (*path, token), total + min(float(continuation.log_probs[place]), 0.0)
            seen[path] = exp(total)
    likeliest = sorted(seen.values(), reverse=True)[: budget - 1]
    return 1.0 + sum(likeliest)


def seen_tree_at_starts(
    texts: Sequence[SampledText], node_budget: int, start_law: StartLaw | None = None
) -> Bound:
    """The best E[X] is at least this at a start law: from each text and the likely tokens beside it.

    At each start, of all tokens recorded along what follows, the P likeliest prefixes. texts: with the likely
    part of their laws, or tokens listed beside them. start_law: None for uniform positions. Raises
    InvalidInput for texts without either, or if no start is usable.
    """
    budget = check_node_budget(node_budget)
    starts = eligible_starts(texts, budget, start_law)
    values = _seen_along(starts, _listed_of_all(texts), budget)
    totals = np.bincount(starts.prompts, starts.weights * values, minlength=starts.prompt_count).astype(
        np.float64
    )
    weights = np.bincount(starts.prompts, starts.weights, minlength=starts.prompt_count).astype(np.float64)
    error = ratio_standard_error(totals, weights)
    return Bound(
        name="seen_tree",
        value=float(totals.sum() / weights.sum()),
        side="lower",
        assumptions=(Assumption.DETERMINISTIC_DRAFTING, Assumption.SAME_START_LAW),
        source="ours",
        origin="ours",
        validity=f"every target; from one text and the likely tokens beside it, at {len(starts)} starts",
        standard_error=None if np.isnan(error) else error,
    )


def _listed_of_all(texts: Sequence[SampledText]) -> ListedTokens:
    """The tokens known beside those of several texts, one text behind the other."""
    beside = [text.listed if text.likely is None else text.likely for text in texts]
    known = [each for each in beside if each is not None]
    if len(known) < len(texts):
        raise InvalidInput("trees seen along texts need the likely tokens of every context, got none")
    return ListedTokens(
        np.concatenate([each.surprisals for each in known]), np.concatenate([each.kept for each in known])
    )


def _seen_along(starts: Starts, listed: ListedTokens, budget: int) -> FloatArray:
    """[starts] sum of P(v) over the likeliest prefixes seen."""
    values = np.ones(len(starts))
    if budget == 1:
        return values
    firsts = np.concatenate([[0], np.cumsum(listed.kept)])
    chances = np.exp(-listed.surprisals)
    for number, (place, contexts) in enumerate(
        zip(starts.positions.tolist(), starts.contexts.tolist(), strict=True)
    ):
        reached = np.exp(-np.cumsum(starts.flat[place : place + contexts]))
        path = np.concatenate([[1.0], reached[:-1]])[:contexts]  # of the context before each token
        here = slice(int(firsts[place]), int(firsts[place + contexts]))
        nodes = chances[here] * np.repeat(path, listed.kept[place : place + contexts])
        if len(nodes) > budget - 1:
            nodes = np.partition(nodes, len(nodes) - budget + 1)[len(nodes) - budget + 1 :]
        values[number] += float(nodes.sum())
    return values
