"""How much of a text merely repeats itself: small models loop, and loops are easy to draft."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST_PERIOD = 64  # tokens
# A short cycle must have repeated for this many tokens before it counts: "ha ha ha" is no loop yet.
SHORTEST_RUN = 8


def looping_tokens(token_ids: Sequence[int]) -> int:
    """Number of tokens that end an exact repetition of the text before them.

    A token counts if, for some period p <= LONGEST_PERIOD, it and the max(p, SHORTEST_RUN) - 1 tokens before
    it each equal the token p places earlier: at least one whole period said again.
    """
    looping = 0
    runs = [0] * (LONGEST_PERIOD + 1)  # runs[p]: tokens up to here that equal the one p places earlier
    for place, token in enumerate(token_ids):
        for period in range(1, min(LONGEST_PERIOD, place) + 1):
            runs[period] = runs[period] + 1 if token_ids[place - period] == token else 0
        looping += any(runs[period] >= max(period, SHORTEST_RUN) for period in range(1, LONGEST_PERIOD + 1))
    return looping
