"""The many-to-one identity at one real context: nodes counted by search against nodes weighed by sampling.

N(t | c), the number of nodes of the token tree below c with V <= t, equals the mean over texts sampled from
c of sum over d of e^(S_d) 1{S_d <= t}: a node is sampled with probability e^-V and counted with weight e^V.
No independence between contexts is used, so the identity must hold at every single context of a real model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from speclight.measure.true_limit import oracle_contexts
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest, ForestNode
from speclight.models.sampling import SamplingSettings
from speclight.theory.sources import draw

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class NodeCounts:
    """levels: [levels] t, nats. exact: N(t | c) of the searched tree. sampled, standard_error: estimated."""

    levels: FloatArray
    exact: FloatArray
    sampled: FloatArray
    standard_error: FloatArray

    @property
    def z_scores(self) -> FloatArray:
        """[levels] (sampled - exact)/standard error; 0 where both agree without spread."""
        gaps = self.sampled - self.exact
        return np.divide(gaps, self.standard_error, out=np.zeros_like(gaps), where=self.standard_error > 0)


def node_counts(
    model: CausalLM,
    token_ids: list[int],
    node_budget: int,
    ranks: Sequence[int],
    uniforms: FloatArray,
    sampling: SamplingSettings,
) -> NodeCounts:
    """Both counts below the context `token_ids`, at levels that hold exactly `ranks` nodes.

    ranks: each below node_budget, so that the searched tree knows every node up to the level, which lies
    halfway to the next node (no rounding of V decides). uniforms: [continuations, node_budget - 1], in
    [0, 1): one token each; a continuation stops once its sum of surprisals is past every level.
    """
    root = len(token_ids) - 1
    (context,) = oracle_contexts(model, token_ids, [root], node_budget, sampling)
    values = -context.path_log_probs
    places = np.array([rank for rank in ranks if rank < len(values)])
    levels = (values[places - 1] + values[places]) / 2
    exact = np.searchsorted(values, levels).astype(np.float64)
    weights = _sampled_weights(model, token_ids, levels, uniforms, sampling)
    error = weights.std(axis=0, ddof=1) / sqrt(len(weights))
    return NodeCounts(levels, exact, weights.mean(axis=0), error)


def _sampled_weights(
    model: CausalLM,
    token_ids: list[int],
    levels: FloatArray,
    uniforms: FloatArray,
    sampling: SamplingSettings,
) -> FloatArray:
    """[continuations, levels] sum over d of e^(S_d) 1{S_d <= t}; equal beginnings are scored once."""
    count = len(uniforms)
    forest = Forest(model, token_ids, [len(token_ids) - 1], sampling)
    laws: dict[int | None, FloatArray] = {None: forest.root_laws[0]}
    at: list[int | None] = [None] * count
    sums = np.zeros(count)
    weights = np.ones((count, len(levels)))  # the root, V = 0
    running = np.arange(count)
    for depth in range(uniforms.shape[1]):
        rows = np.stack([laws[at[item]] for item in running])
        tokens = draw(rows, uniforms[running, depth])
        sums[running] -= np.log(rows[np.arange(len(running)), tokens])
        weights[running] += np.exp(sums[running])[:, None] * (sums[running][:, None] <= levels)
        going_on = ~np.isin(tokens, list(model.end_of_text)) & (sums[running] <= levels.max())
        # An end of text is never a node: take back what its own surprisal has added.
        ended = running[np.isin(tokens, list(model.end_of_text))]
        weights[ended] -= np.exp(sums[ended])[:, None] * (sums[ended][:, None] <= levels)
        running, tokens = running[going_on], tokens[going_on]
        if len(running) == 0:
            break
        children = [(at[item], int(token)) for item, token in zip(running, tokens, strict=True)]
        distinct = list(dict.fromkeys(children))
        handles, scored = forest.score([ForestNode(0, token, parent) for parent, token in distinct])
        handle_of = dict(zip(distinct, handles, strict=True))
        laws = {handle: law for handle, law in zip(handles, scored, strict=True)}
        for item, child in zip(running, children, strict=True):
            at[item] = handle_of[child]
    return weights
