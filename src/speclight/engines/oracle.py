"""The oracle over an endpoint: the best tree at a context, searched by completions of one token.

Prefix caching of the engine does the work that tree attention does at home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.engines.client import EngineClient
from speclight.engines.completion import CompletionRequest
from speclight.engines.stated_law import Law, stated_law
from speclight.errors import EngineError, InvalidInput
from speclight.progress import Progress, silent
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.growing_tree import CandidateLaw

# Nodes expanded per context and round: looking at all unexpanded ones asks for many that later fall out.
NODES_A_ROUND = 4
_TIE_NATS = 1e-9


@dataclass(frozen=True, slots=True, eq=False)  # array field: compare with np.array_equal, not ==
class EngineOracle:
    """The best tree at one context as far as an endpoint shows it.

    path_log_probs: [nodes] log-probability of each node under the target, nats, falling; the root's is 0.
    depths: of the same nodes. hidden_log_prob: no node that the endpoint did not show is likelier than this;
    -inf if there is none. requests: completions asked for.
    """

    path_log_probs: FloatArray
    depths: IntArray
    hidden_log_prob: float
    requests: int

    def tokens_per_call(self, node_budget: int) -> tuple[float, float]:
        """The limit E[X | context] of `node_budget` nodes, see `between`."""
        return between(self.path_log_probs, self.hidden_log_prob, node_budget)

    def is_exact(self, node_budget: int) -> bool:
        """Whether the best `node_budget` nodes are certain."""
        low, high = self.tokens_per_call(node_budget)
        return high - low <= 1e-12 * high


def between(path_log_probs: FloatArray, hidden_log_prob: float, node_budget: int) -> tuple[float, float]:
    """The limit of `node_budget` nodes between two values; equal where the search is exact.

    Exact iff no hidden node can be among the best P. Else the upper end puts hidden nodes of the largest
    possible probability wherever they would displace a shown one.
    """
    shown = path_log_probs[:node_budget]
    best = np.full(node_budget, hidden_log_prob)
    best[: len(shown)] = np.maximum(shown, hidden_log_prob)
    return float(np.exp(shown).sum()), float(np.exp(best).sum())


def oracle_at(
    client: EngineClient,
    contexts: Sequence[tuple[int, ...]],
    node_budget: int,
    top: int,
    end_of_text: Sequence[int],
    temperature: float = 1.0,
    progress: Progress = silent,
) -> list[EngineOracle]:
    """Search the best tree after each context, many contexts at once.

    contexts: token ids, the last one the tree's root. top: K, likeliest tokens asked for per node; with
    K >= P - 1 (and no end of text among them) every tree is exact. end_of_text: ids that are never nodes.
    Raises EngineError if the endpoint states other log-probabilities than those of the sampled law at this
    temperature, InvalidInput for a budget or top below 1 or an endpoint without token ids.
    """
    if node_budget < 1 or top < 1 or not contexts:
        raise InvalidInput(
            f"an oracle needs contexts, a node budget and likeliest tokens of at least 1 each, got "
            f"{len(contexts)}, {node_budget} and {top}"
        )
    if not client.dialect.takes_token_ids:
        raise InvalidInput(f"{client.dialect.name} takes no token ids; search with vllm, sglang or llamacpp")
    if temperature != 1.0 and stated_law(client, contexts[0], temperature).of is not Law.SAMPLED:
        raise EngineError(
            f"the endpoint does not state the law at temperature {temperature}; search at 1, or start it so "
            "that "
            "it gives processed log-probabilities (vLLM: --logprobs-mode processed_logprobs)"
        )
    found: dict[int, EngineOracle] = {}

    def search(context: tuple[int, ...]) -> EngineOracle:
        return _Search(context, node_budget, top, end_of_text, temperature).run(client)

    for place, oracle in client.in_parallel(search, contexts):
        found[place] = oracle
        progress(len(found), len(contexts), f"oracle: best trees of {node_budget} nodes by {client.model}")
    return [found[place] for place in range(len(contexts))]


class _Search:
    """One context's search. Contexts run side by side; within one, a round's requests go one by one."""

    def __init__(
        self,
        context: tuple[int, ...],
        node_budget: int,
        top: int,
        end_of_text: Sequence[int],
        temperature: float,
    ) -> None:
        self._context = context
        self._growth = BestFirstGrowth(context[-1], node_budget, end_of_text)
        self._top, self._temperature = top, temperature
        self._end_of_text = frozenset(end_of_text)
        self._hidden = -np.inf
        self._requests = 0

    def run(self, client: EngineClient) -> EngineOracle:
        while nodes := self._next_nodes():
            for node in nodes:
                self._expand(client, node)
        tree = self._growth.tree()
        return EngineOracle(tree.path_log_probs, tree.depths, float(self._hidden), self._requests)

    def _next_nodes(self) -> list[int]:
        if self._growth.node_budget == 1:
            return []
        known = self._growth.known.path_log_probs
        return sorted(self._growth.unexpanded(), key=lambda node: -known[node])[:NODES_A_ROUND]

    def _expand(self, client: EngineClient, node: int) -> None:
        known = self._growth.known
        tokens = tuple(known.tokens[member] for member in known.path(node)[1:])
        request = CompletionRequest((*self._context, *tokens), 1, self._temperature, self._top)
        row = client.complete(request).top[0]
        self._requests += 1
        ids = [one.token for one in row]
        if not all(isinstance(token, int) for token in ids):
            raise EngineError("the endpoint names likeliest tokens by text, expected ids; check the dialect")
        log_probs = np.array([one.log_prob for one in row])
        self._growth.expand(node, CandidateLaw(np.array(ids, dtype=np.int64), log_probs))
        # A token that was not listed is no likelier than the last one listed, nor than what is left over.
        left_over = max(0.0, 1.0 - float(np.exp(log_probs).sum()))
        unseen = min(float(log_probs.min()), float(np.log(left_over)) if left_over > _TIE_NATS else -np.inf)
        self._hidden = max(self._hidden, known.path_log_probs[node] + unseen)
