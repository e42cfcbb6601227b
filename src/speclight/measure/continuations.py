"""Fresh continuations of several contexts of one text, sampled together: equal beginnings are scored once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest, ForestNode
from speclight.models.sampling import SamplingSettings
from speclight.theory.ergodic.seen_trees import Continuation
from speclight.theory.truth.sources import draw

# Listed beside each token, as many as inference APIs give.
LISTED = 20


def continuations_at(
    model: CausalLM,
    token_ids: list[int],
    roots: Sequence[int],
    uniforms: FloatArray,
    reach: float,
    sampling: SamplingSettings,
) -> list[list[Continuation]]:
    """For each root the continuations of the text up to it, with the LISTED likeliest tokens beside theirs.

    roots: positions in the text, ascending. uniforms: [roots, continuations, tokens] in [0, 1), one for each
    token. A continuation stops at an end of text, and once its total surprisal is beyond `reach` (nats).
    """
    forest = Forest(model, token_ids, roots, sampling)
    walkers = [_Walker(root) for root in range(len(roots)) for _ in range(uniforms.shape[1])]
    draws = uniforms.reshape(len(walkers), -1)
    laws: dict[tuple[int, int | None], FloatArray] = {
        (root, None): law for root, law in enumerate(forest.root_laws)
    }
    going = list(range(len(walkers)))
    for depth in range(draws.shape[1]):
        rows = np.stack([laws[walkers[item].place] for item in going])
        for item, token, row in zip(going, draw(rows, draws[going, depth]).tolist(), rows, strict=True):
            walkers[item].take(token, row)
        going = [
            item
            for item in going
            if walkers[item].tokens[-1] not in model.end_of_text and walkers[item].surprisal <= reach
        ]
        if not going or depth + 1 == draws.shape[1]:
            break
        steps = [(*walkers[item].place, walkers[item].tokens[-1]) for item in going]
        distinct = list(dict.fromkeys(steps))
        handles, scored = forest.score([ForestNode(root, token, above) for root, above, token in distinct])
        handle_of = dict(zip(distinct, handles, strict=True))
        laws = {(step[0], handle_of[step]): law for step, law in zip(distinct, scored, strict=True)}
        for item, step in zip(going, steps, strict=True):
            walkers[item].place = (step[0], handle_of[step])
    grown = [walker.continuation() for walker in walkers]
    count = uniforms.shape[1]
    return [grown[root * count : (root + 1) * count] for root in range(len(roots))]


class _Walker:
    """One continuation while it grows. place: its root and the handle of its last node."""

    def __init__(self, root: int) -> None:
        self.place: tuple[int, int | None] = (root, None)
        self.tokens: list[int] = []
        self.surprisal = 0.0
        self._log_probs: list[float] = []
        self._listed: list[tuple[IntArray, FloatArray]] = []

    def take(self, token: int, law: FloatArray) -> None:
        """The next token, drawn from a law [vocab]."""
        log_prob = float(np.log(law[token]))
        self.tokens.append(token)
        self.surprisal -= log_prob
        self._log_probs.append(log_prob)
        likeliest = np.argpartition(law, -min(LISTED, len(law)))[-LISTED:]
        likeliest = likeliest[law[likeliest] > 0.0]
        self._listed.append((likeliest, np.log(law[likeliest])))

    def continuation(self) -> Continuation:
        """The continuation so far."""
        return Continuation(np.array(self.tokens), np.array(self._log_probs), self._listed)
