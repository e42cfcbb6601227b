"""Is an endpoint's sampling lossless? Told from its tokens and the laws it states for them.

At every position the tokens fall into cells: each of the likeliest, and all others together. The law of the
cells is what the endpoint states (or a reference model gives), so counts and surprisals of the tokens it
really emitted can be held against it. Positions depend on each other only through the past, so both
statistics are sums of martingale differences, and their limit laws need no independence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from speclight.arrays import FloatArray
from speclight.engines.completion import EngineText, Token
from speclight.engines.dialects.answers import UNSTATED
from speclight.errors import InvalidInput

FALSE_ALARM = 1e-3
POWER = 0.99
# A cell that is expected fewer times is joined with the next: the normal limit would not hold for it.
LEAST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Moments:
    """Surprisal of what was emitted, and its mean and variance under the law; nats, nats, nats²."""

    surprisal: float
    entropy: float
    variance: float


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class CellLaw:
    """What is stated at one position. probabilities: [cells] of the tokens listed and, last, all others.

    cell: which of them the emitted token fell into. of_tokens: moments of single tokens, where a reference
    gives the whole law; None where only cells are known.
    """

    probabilities: FloatArray
    cell: int
    of_tokens: Moments | None = None

    def __post_init__(self) -> None:
        total = float(self.probabilities.sum())
        if (
            not (self.probabilities >= 0.0).all()
            or abs(total - 1.0) > 1e-3
            or self.cell >= len(self.probabilities)
        ):
            raise InvalidInput(
                f"a law of cells must be probabilities that sum to 1, got a sum of {total:.6f}; the "
                "endpoint's "
                "log-probabilities are not of one law"
            )


@dataclass(frozen=True, slots=True)
class LawTest:
    """Emitted tokens against the laws stated for them.

    tokens: positions tested. mean_surprisal, mean_entropy: nats, of cells; equal in expectation if sampling
    is lossless. surprisal_z: their difference over its standard error. chi_square on `degrees`: of the
    counts by rank. p_value: of the smaller of the two tests, times 2. detectable_nats: shift of the mean
    surprisal found with probability POWER at false-alarm rate FALSE_ALARM.
    """

    tokens: int
    mean_surprisal: float
    mean_entropy: float
    surprisal_z: float
    chi_square: float
    degrees: int
    p_value: float
    detectable_nats: float

    @property
    def is_passed(self) -> bool:
        """Whether a lossless endpoint would look like this more often than FALSE_ALARM."""
        return self.p_value >= FALSE_ALARM


def cell_laws(text: EngineText) -> list[CellLaw]:
    """The laws that an endpoint stated along one text. Raises InvalidInput where it stated none."""
    laws: list[CellLaw] = []
    for token, log_prob, row in zip(text.tokens, text.log_probs, text.top, strict=True):
        if np.isnan(log_prob):
            raise InvalidInput(UNSTATED)
        if not row:
            raise InvalidInput(
                "the record holds no likeliest tokens, so it states no law; record them (top), or give a "
                "reference model that can score the tokens"
            )
        names: list[Token] = [one.token for one in row]
        listed = np.exp([one.log_prob for one in row])
        cell = names.index(token) if token in names else len(names)
        # Float32 logarithms of a law all but certain can sum to a little above 1.
        others = max(0.0, 1.0 - float(listed.sum()))
        if cell == len(names):
            others = max(others, float(np.exp(log_prob)))
        probabilities = np.append(listed, others)
        laws.append(CellLaw(probabilities / probabilities.sum() if others == 0.0 else probabilities, cell))
    return laws


def full_law(probabilities: FloatArray, token: int, cells: int = 20) -> CellLaw:
    """A reference model's law at one position, cut to `cells` likeliest tokens and all others."""
    order = np.argsort(-probabilities, kind="stable")[:cells]
    places = np.flatnonzero(order == token)
    rest = max(0.0, 1.0 - float(probabilities[order].sum()))
    cell = int(places[0]) if len(places) else len(order)
    return CellLaw(np.append(probabilities[order], rest), cell, _moments(probabilities, token))


def law_test(laws: Sequence[CellLaw]) -> LawTest:
    """Test whether the cells that came up were drawn from the laws stated. Raises InvalidInput for none.

    The counts by rank have mean sum p and covariance sum (diag p - p p'), so their quadratic form is
    chi-square; the surprisals of cells have mean H and variance sum p (ln p)^2 - H^2 at each position.
    """
    if not laws:
        raise InvalidInput("a test needs at least one token with a stated law, got none")
    moments = [law.of_tokens or _moments(law.probabilities, law.cell) for law in laws]
    surprisal = np.array([one.surprisal for one in moments])
    entropy = np.array([one.entropy for one in moments])
    spread = float(np.sqrt(sum(one.variance for one in moments)))
    difference = float((surprisal - entropy).sum())
    z = difference / spread if spread > 0.0 else 0.0 if difference == 0.0 else np.inf
    chi_square, degrees = _rank_counts(laws)
    p_values = (
        2.0 * float(stats.norm.sf(abs(z))),
        float(stats.chi2.sf(chi_square, degrees)) if degrees else 1.0,
    )
    reach = float(stats.norm.isf(FALSE_ALARM / 4.0) + stats.norm.ppf(POWER))
    return LawTest(
        len(laws),
        float(surprisal.mean()),
        float(entropy.mean()),
        float(z),
        chi_square,
        degrees,
        min(1.0, 2.0 * min(p_values)),
        reach * spread / len(laws),
    )


def _moments(probabilities: FloatArray, emitted: int) -> Moments:
    positive = probabilities[probabilities > 0.0]
    logarithms = np.log(positive)
    entropy = -float(positive @ logarithms)
    # What has probability 0 cannot come up; if it does, its surprisal is that of the smallest double.
    surprisal = -float(np.log(max(probabilities[emitted], np.finfo(np.float64).tiny)))
    return Moments(surprisal, entropy, max(0.0, float(positive @ logarithms**2) - entropy**2))


def _rank_counts(laws: Sequence[CellLaw]) -> tuple[float, int]:
    """Chi-square of how often each rank came up, rare ranks joined, and its degrees of freedom."""
    cells = max(len(law.probabilities) for law in laws)
    expected, counts = np.zeros(cells), np.zeros(cells)
    rows = np.zeros((len(laws), cells))
    for place, law in enumerate(laws):
        rows[place, : len(law.probabilities)] = law.probabilities
        counts[law.cell] += 1
    expected = rows.sum(axis=0)
    groups = _joined(expected)
    if groups.max() == 0:
        return 0.0, 0
    merge = np.eye(groups.max() + 1)[groups]  # [cells, groups]
    grouped = rows @ merge
    difference = (counts @ merge - grouped.sum(axis=0))[:-1]
    covariance = (np.diag(grouped.sum(axis=0)) - grouped.T @ grouped)[:-1, :-1]
    solved = np.linalg.lstsq(covariance, difference, rcond=None)[0]
    return float(difference @ solved), int(np.linalg.matrix_rank(covariance))


def _joined(expected: FloatArray) -> npt.NDArray[np.int64]:
    """[cells] group of each rank: neighbours joined until each group is expected LEAST_EXPECTED times."""
    groups = np.zeros(len(expected), dtype=np.int64)
    group, total = 0, 0.0
    for place, value in enumerate(expected):
        groups[place] = group
        total += value
        if total >= LEAST_EXPECTED and expected[place + 1 :].sum() >= LEAST_EXPECTED:
            group, total = group + 1, 0.0
    return groups


def slots(text: EngineText) -> list[str] | None:
    """[tokens] the place of each token in its verify step, counted from 1; None where it cannot be told.

    A verify step emits its accepted drafts and then one token of the target's own, so that each place is
    reached or not by what came before it: a place may be tested by itself. (Accepted tokens alone may not,
    since acceptance depends on the token.) Steps without a draft are not listed by engines, so places are
    known only where there were none: then the first token, out of the prompt's own pass, is left over.
    """
    if text.steps is None:
        return None
    names = ["the prompt's pass"]
    for accepted in text.steps.accepted:
        names += [f"token {place} of a step" for place in range(1, accepted + 2)]
    tokens = len(text.tokens)
    # The last step may have run past the length limit.
    return names[:tokens] if tokens <= len(names) <= tokens + max(text.steps.drafted, default=0) else None
