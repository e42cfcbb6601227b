"""The exact law of the next few tokens, and how well counted strings follow it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

from speclight.arrays import FloatArray, IntArray
from speclight.decoding.divergence import near_tie_margin, plain_logits
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings, processed_probabilities

TokenString = tuple[int, ...]
# Tokens of a string and tokens kept by top-k: 4^3 = 64 strings, so that each is met often.
LENGTH = 3
TOP_K = 4
# Chance that a lossless decoder fails one test, and chance that the stated deviation is found.
FALSE_ALARM = 1e-4
POWER = 0.99
# Below this the chi-square law of the statistic is not to be trusted; rarer strings share a cell.
LEAST_EXPECTED = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class SparseLaw:
    """[candidates] tokens, ascending, and their probabilities, which sum to 1."""

    tokens: IntArray
    probabilities: FloatArray


@dataclass(frozen=True, slots=True)
class NearTie:
    """After `place` tokens the best TOP_K lie `apart` logits above the next; rounding explains `rounding`."""

    place: int
    apart: float
    rounding: float
    dtype: torch.dtype


class StringLaw:
    """The target's law of strings of LENGTH tokens after a prompt under top-k, by plain passes of the model.

    A string ends early with an end-of-text token. contexts: the law after every string that goes on.
    near_tie: where the last token that top-k keeps and the first one it drops lie so close together that
    rounding decides which strings are possible; None if nowhere.
    """

    def __init__(self, target: CausalLM, prompt_ids: list[int], temperature: float) -> None:
        target.check_text_fits([*prompt_ids, *[0] * LENGTH])
        self.near_tie: NearTie | None = None
        self.sampling = SamplingSettings(temperature, top_k=TOP_K)
        self.contexts: dict[TokenString, SparseLaw] = {}
        self.strings: dict[TokenString, float] = {}
        unfinished: dict[TokenString, float] = {(): 1.0}
        while unfinished:
            begun, probability = unfinished.popitem()
            law = self._law(target, [*prompt_ids, *begun])
            self.contexts[begun] = law
            for token, chance in zip(law.tokens.tolist(), law.probabilities.tolist(), strict=True):
                string = (*begun, token)
                ends = len(string) == LENGTH or token in target.end_of_text
                (self.strings if ends else unfinished)[string] = probability * chance

    def check_told_apart(self) -> None:
        """Raise InvalidInput where rounding decides which strings are possible: the loop cannot be judged."""
        if self.near_tie is None:
            return
        tie, name = self.near_tie, str(self.near_tie.dtype).removeprefix("torch.")
        in_32_bits = ", load the model in float32" if torch.finfo(tie.dtype).bits < 32 else ""
        raise InvalidInput(
            f"after {tie.place} tokens of this prompt the best {TOP_K} lie {tie.apart:.2g} logits above "
            f"the next, expected more than rounding in {name} explains ({tie.rounding:.2g}); choose another "
            f"prompt{in_32_bits}, or set strings to 0 to test the rule alone",
            argument="strings",
        )

    def _law(self, target: CausalLM, token_ids: list[int]) -> SparseLaw:
        logits = plain_logits(target, token_ids).cpu().numpy()
        ranked = np.sort(logits)[::-1]
        if len(ranked) > TOP_K:
            apart = float(ranked[TOP_K - 1] - ranked[TOP_K])
            rounding = near_tie_margin(target, float(ranked[TOP_K - 1]))
            if apart < rounding and self.near_tie is None:
                self.near_tie = NearTie(len(token_ids), apart, rounding, target.model.dtype)
        law = processed_probabilities(logits[None], self.sampling)[0]
        tokens = np.flatnonzero(law)
        return SparseLaw(tokens, law[tokens])


@dataclass(frozen=True, slots=True)
class StringTest:
    """Chi-square of counted strings against their exact law.

    strings: how many were counted. cells: strings, or groups of rare ones, each expected LEAST_EXPECTED times
    at least. impossible: strings met that have probability 0. p_value: of cells - 1 degrees of freedom.
    detectable: every law of the cells at this total variation from the exact one fails with probability
    POWER at least; above 1 if no law does.
    """

    strings: int
    cells: int
    chi_square: float
    p_value: float
    impossible: int
    detectable: float

    @property
    def is_passed(self) -> bool:
        """Whether the strings may come from the exact law, at FALSE_ALARM."""
        return self.impossible == 0 and self.p_value >= FALSE_ALARM


def string_test(counts: Mapping[TokenString, int], exact: Mapping[TokenString, float]) -> StringTest:
    """Test counted strings. Raises InvalidInput if the law leaves fewer than two cells to compare."""
    total = sum(counts.values())
    observed, expected = [0.0], [0.0]
    for string in sorted(exact, key=lambda string: exact[string]):
        if expected[-1] >= LEAST_EXPECTED:
            observed.append(0.0)
            expected.append(0.0)
        observed[-1] += counts.get(string, 0)
        expected[-1] += exact[string] * total
    if len(expected) < 2:
        raise InvalidInput(
            f"{total} strings leave one cell expected at least {LEAST_EXPECTED:.0f} times, needed are two; "
            "draw more strings, or choose a prompt whose continuation is less certain"
        )
    statistic = sum((seen - due) ** 2 / due for seen, due in zip(observed, expected, strict=True))
    freedom = len(expected) - 1
    return StringTest(
        strings=total,
        cells=len(expected),
        chi_square=statistic,
        p_value=float(stats.chi2.sf(statistic, freedom)),
        impossible=sum(count for string, count in counts.items() if string not in exact),
        detectable=_detectable(total, freedom),
    )


def _detectable(total: int, freedom: int) -> float:
    """The total variation that is found with probability POWER, whatever its direction.

    Deviations d of the cells have noncentrality n sum d^2 / p, at least n (sum |d|)^2 = 4 n TV^2 by the
    Cauchy-Schwarz inequality.
    """
    threshold = float(stats.chi2.isf(FALSE_ALARM, freedom))
    low, high = 0.0, 4.0 * total
    for _ in itertools.repeat(None, 60):  # halvings: neighbouring floats
        middle = (low + high) / 2.0
        low, high = (low, middle) if stats.ncx2.sf(threshold, freedom, middle) >= POWER else (middle, high)
    return math.sqrt(high / (4.0 * total))
