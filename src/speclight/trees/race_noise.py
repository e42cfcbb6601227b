"""The noise that drafter and target share in a race: an Exp(1) time for every output position and token.

Counter-based: each number is a pure function of (seed, request, position, noise set, arrival, token id), so
drafter and target read the same one whatever the batch layout, the order of asking or the padding of a
vocabulary, and a position that is drafted again in a later call meets the same noise again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from speclight.arrays import FloatArray, IntArray, WordArray
from speclight.errors import InvalidInput
from speclight.seeds import seed_words
from speclight.trees.best_values import bar_of_best

# Keeps the field's key apart from every stream spawned from the same seed: a coin that a rule flips must not
# depend on the noise a draft was ranked with.
RACE_SALT = 0x52414345
# Philox 4x64 makes four words a block.
BLOCK = 4
# Largest uniform used: above it, 1 - u would round to 0 and the time to infinity (probability 2^-54).
LARGEST_UNIFORM = 1.0 - 2.0**-53
# Arrays kept: the positions of one draft. At a vocabulary of 50,000 tokens one takes 0.4 MB.
POSITIONS_KEPT = 48


@dataclass(frozen=True, slots=True, eq=False)
class RaceField:
    """All exponential times of one request.

    seed, request: >= 0; two requests with the same prompt need different request numbers or seeds, or they
    get the same text. Raises InvalidInput below 0.
    """

    seed: int
    request: int = 0
    _key: WordArray = field(init=False, repr=False)
    _recent: OrderedDict[tuple[int, int, int], FloatArray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.seed < 0 or self.request < 0:
            raise InvalidInput(f"seed and request must be >= 0, got {self.seed} and {self.request}")
        key = seed_words(2, RACE_SALT, self.seed, self.request)
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "_recent", OrderedDict())

    def times(self, position: int, tokens: int, noise_set: int = 0) -> FloatArray:
        """[tokens] first times of tokens 0..tokens - 1 at an output position, read-only; all > 0.

        position: number of tokens of the text (prompt included) before the one decided. A larger vocabulary
        has the same times for the tokens both have.
        """
        place = (position, noise_set, tokens)
        if place not in self._recent:
            words = self.words(position, noise_set, arrival=0, block=0, count=tokens)
            times = exponential_times(words)
            times.setflags(write=False)
            self._recent[place] = times
            if len(self._recent) > POSITIONS_KEPT:
                self._recent.popitem(last=False)
        self._recent.move_to_end(place)
        return self._recent[place]

    def gap(self, position: int, token: int, arrival: int, noise_set: int = 0) -> float:
        """Exp(1) time from arrival number `arrival` of a token to its next one; arrival 0 is time 0."""
        words = self.words(position, noise_set, arrival, token // BLOCK, BLOCK)
        return float(exponential_times(words)[token % BLOCK])

    def from_position(self, position: int) -> RaceView:
        """The field as a draft sees it whose root stands just before this output position."""
        return RaceView(self, position)

    def words(self, position: int, noise_set: int, arrival: int, block: int, count: int) -> WordArray:
        """[count] the random words of tokens 4 * block, 4 * block + 1, ...: see `exponential_times`."""
        counter = np.array([block, arrival, noise_set, position], dtype=np.uint64)
        return np.random.Philox(key=self._key, counter=counter).random_raw(count)


@dataclass(frozen=True, slots=True, eq=False)
class RaceView:
    """The times at the output positions below one root: depth 0 decides the token after the root."""

    field: RaceField
    position: int

    def times(self, depth: int, tokens: int, noise_set: int = 0) -> FloatArray:
        """See RaceField.times."""
        return self.field.times(self.position + depth, tokens, noise_set)

    def gap(self, depth: int, token: int, arrival: int, noise_set: int = 0) -> float:
        """See RaceField.gap."""
        return self.field.gap(self.position + depth, token, arrival, noise_set)

    def winner(self, depth: int, law: FloatArray, noise_sets: tuple[int, ...] = (0,)) -> int:
        """The token the target emits at this depth: argmin of time / law, over the smallest of several sets.

        law: [vocab] sums to 1. With n sets the smallest time of a token is Exp(n), so the winner has the
        law in every case.
        """
        times = self.times(depth, len(law), noise_sets[0])
        for noise_set in noise_sets[1:]:
            times = np.minimum(times, self.times(depth, len(law), noise_set))
        return race_winner(law, times)


def exponential_times(words: WordArray) -> FloatArray:
    """Exp(1) times of 64-bit words: -ln(1 - u), u = (word + 1/2) / 2^64.

    Small times decide races, and near u = 0 float64 resolves u to its last bit: the smallest time is
    2.7e-20, never 0, so that tokens of probability 1e-15 win as often as they should. With uniforms of 24
    bits every hundredth position of a vocabulary of 150,000 tokens would be decided by a time of exactly 0.
    """
    uniforms = np.minimum((words.astype(np.float64) + 0.5) * 2.0**-64, LARGEST_UNIFORM)
    return -np.log1p(-uniforms)


def race_winner(law: FloatArray, times: FloatArray) -> int:
    """Argmin of times / law over tokens of positive law, compared by logarithms; ties go to the lowest id.

    law, times: [vocab]. Token i wins with probability law[i]: the first of Exp(1) times sped up by law[i].
    """
    possible = np.flatnonzero(law > 0.0)
    return int(possible[np.argmin(np.log(times[possible]) - np.log(law[possible]))])


def race_order(tokens: IntArray, log_probs: FloatArray, times: FloatArray, count: int) -> IntArray:
    """Places in `tokens` of the first `count` in the order of times / law; fewer if fewer are possible.

    tokens, log_probs: [candidates] a drafter's law in the target's token ids, nats; -inf never takes part.
    times: [vocab]. Ties go to the lowest id.
    """
    possible = np.flatnonzero(log_probs > -np.inf)
    keys = np.log(times[tokens[possible]]) - log_probs[possible]
    if 0 < count < len(keys):
        # A whole vocabulary is cut down before it is sorted; ties with the last one are kept.
        kept = np.flatnonzero(-keys >= bar_of_best(-keys, count))
        possible, keys = possible[kept], keys[kept]
    return possible[np.lexsort((tokens[possible], keys))[:count]]
