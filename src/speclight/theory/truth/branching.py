"""The branching random walk of the token tree: exact and by enumeration, for laws small enough to list.

Nodes are token sequences, V(v) = -ln P(v) their position; a node's children are displaced by -ln p over
the tokens of an independently drawn context (arXiv 2512.11718v1, Section 3.2). The many-to-one lemma turns
sums over nodes into a mean along one random walk, the spine. Everything here is for checking and
teaching; the numbers for measured laws are computed in `renewal`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, expm1, factorial, floor, log, prod

import numpy as np
import numpy.typing as npt

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bound import check_moments
from speclight.theory.information import check_laws, entropy, second_log_moment, surprisals

# A node that stands within this many nats above t counts as standing at t: sums of logarithms miss the
# lattice points of a uniform law by a few units in the last place.
POSITION_ATOL = 1e-9
_LARGEST_LISTING = 4_000_000  # paths listed at once by the many-to-one check, 64 MB


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class PointProcess:
    """The children of one node: a context drawn by `weights`, then one child at -ln p per possible token.

    laws: [contexts, vocabulary] token laws. weights: [contexts] probabilities. Raises InvalidInput if
    either is no law. The arrays are copied and made read-only.
    """

    laws: FloatArray
    weights: FloatArray

    def __post_init__(self) -> None:
        for name in ("laws", "weights"):
            array = np.array(check_laws(getattr(self, name)))
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.laws.ndim != 2 or self.weights.shape != self.laws.shape[:1]:
            raise InvalidInput(
                f"a point process needs laws [contexts, vocabulary] and one weight per context, got shapes "
                f"{self.laws.shape} and {self.weights.shape}"
            )

    @property
    def mu(self) -> float:
        """Mean entropy, nats: minus psi'(1), and the mean step of the spine."""
        return float(self.weights @ entropy(self.laws))

    @property
    def mu2(self) -> float:
        """Mean of sum p (ln p)^2, nats^2: the second moment of the spine's step."""
        return float(self.weights @ second_log_moment(self.laws))


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class Steps:
    """Distinct displacements of one generation. positions: [steps] nats, increasing. counts: [steps]
    expected children there. mass: [steps] probability that the spine takes it, counts e^-position.
    """

    positions: FloatArray
    counts: FloatArray
    mass: FloatArray


def single_law(law: npt.ArrayLike) -> PointProcess:
    """The process in which every context has the same token law, [vocabulary]: a tree without chance."""
    return PointProcess(np.asarray(law, dtype=np.float64)[None, :], np.ones(1))


def steps(process: PointProcess) -> Steps:
    """The process's displacements with equal ones joined."""
    present = process.laws > 0.0
    shares = np.broadcast_to(process.weights[:, None], process.laws.shape)[present]
    probabilities, index = np.unique(process.laws[present], return_inverse=True)
    counts = np.bincount(index, weights=shares).astype(np.float64)
    order = slice(None, None, -1)  # largest probability first: smallest displacement
    return Steps(surprisals(probabilities)[order], counts[order], (counts * probabilities)[order])


def log_laplace(process: PointProcess, theta: float) -> float:
    """psi(theta) = ln E[sum over children of e^(-theta V)] = ln E[sum p^theta], theta > 0.

    psi(1) = 0 and psi'(1) = -mu. Source: arXiv 2512.11718v1, equation (2). Raises InvalidInput for
    theta <= 0.
    """
    if not theta > 0.0:
        raise InvalidInput(f"theta must be > 0, got {theta}; a token of probability 0 has no p^theta below")
    step = steps(process)
    return log(float(step.counts @ np.exp(-theta * step.positions)))


def sum_over_generation(
    process: PointProcess, generation: int, function: Callable[[FloatArray], FloatArray]
) -> float:
    """E[sum over nodes v of a generation of g(V(v))], node by node: the left side of the many-to-one lemma.

    function: g, on an array of positions. Source: arXiv 2512.11718v1, Lemma 2. Raises InvalidInput if the
    generation is too large to list.
    """
    step = steps(process)
    positions, weights = _listed_paths(step.positions, step.counts, generation)
    return float(weights @ function(positions))


def mean_along_walk(
    process: PointProcess, generation: int, theta: float, function: Callable[[FloatArray], FloatArray]
) -> float:
    """E[e^(theta S_n + n psi(theta)) g(S_n)]: the right side of the many-to-one lemma, S_n the walk whose
    steps are the displacements with probability proportional to their count times e^(-theta x).

    At theta = 1 the walk is the spine. Source: arXiv 2512.11718v1, Lemma 2. Raises InvalidInput if the
    generation is too large to list or theta <= 0.
    """
    step, psi = steps(process), log_laplace(process, theta)
    tilted = step.counts * np.exp(-theta * step.positions - psi)
    positions, weights = _listed_paths(step.positions, tilted, generation)
    return float(weights @ (np.exp(theta * positions + generation * psi) * function(positions)))


def spine_walk(process: PointProcess, uniforms: npt.ArrayLike) -> FloatArray:
    """[walks, steps + 1] positions S_0 = 0, S_1, ... of the spine: the surprisal of a sampled text.

    uniforms: [walks, steps] draws from [0, 1), one per step; the same draws give the same walks.
    """
    noise, step = np.asarray(uniforms, dtype=np.float64), steps(process)
    if noise.ndim != 2 or not ((noise >= 0.0) & (noise < 1.0)).all():
        raise InvalidInput(f"the noise of spine walks is [walks, steps] in [0, 1), got shape {noise.shape}")
    edges = np.cumsum(step.mass)
    chosen = np.minimum(np.searchsorted(edges, noise, side="right"), len(edges) - 1)
    return np.pad(np.cumsum(step.positions[chosen], axis=1), ((0, 0), (1, 0)))


def node_count(law: npt.ArrayLike, threshold: float) -> int:
    """N(t), exactly: nodes with V <= t, root included, in the tree whose every context has this one law.

    Counts multisets of tokens times their orders, so it reaches far beyond what a search could list. Raises
    InvalidInput if a token has probability 1 (N is infinite) or what is given is no law.
    """
    step = steps(single_law(law))
    if step.positions[0] == 0.0:
        raise InvalidInput("a token of probability 1 puts infinitely many nodes at V = 0")
    tokens = [round(count) for count in step.counts.tolist()]
    return sum(
        _orders(times) * prod(count**n for count, n in zip(tokens, times, strict=True))
        for times in _multisets(step.positions.tolist(), threshold)
    )


def expected_node_count(process: PointProcess, threshold: float) -> float:
    """E N(t) = int_0^t e^x dU(x), the sum over depths of E[e^(S_d); S_d <= t], by enumeration.

    Source: arXiv 2512.11718v1, Claim 1. Raises InvalidInput if E N(t) is infinite (every context certain).
    """
    step = steps(process)
    return _expected_sum(step.positions, step.counts, threshold)


def renewal_function(process: PointProcess, position: float) -> float:
    """U(x) = sum over d >= 0 of Pr[S_d <= x] of the spine, by enumeration: the mean number of tokens,
    counting the one that does it, until the surprisal of a sampled text exceeds x.

    Raises InvalidInput if it is infinite (every context certain).
    """
    step = steps(process)
    return _expected_sum(step.positions, step.mass, position)


def lemma_3(mu: float, mu2: float, threshold: float) -> float:
    """The ceiling a e^t + 1 - 1/mu, a = (mu + mu2)/mu^2, on E N(t), t >= 0.

    Source: arXiv 2512.11718v1, Lemma 3, as printed (the last equality of its proof is an inequality; its
    appendix errs by one on both sides, which leaves this form true but loose). Raises InvalidInput for
    moments out of range or mu = 0.
    """
    mu2 = _check_ceiling(mu, mu2, threshold)
    return (mu + mu2) / mu**2 * exp(threshold) + 1.0 - 1.0 / mu


def expected_node_ceiling(mu: float, mu2: float, threshold: float) -> float:
    """Lemma 3 sharpened: g(t) >= E N(t) from max(1, x/mu) <= U(x) <= x/mu + m, m = mu2/mu^2.

    g(t) = e^t (t/mu + m - 1) + 1 for t <= mu and a e^t + 1 - e^mu/mu beyond, a = m + 1/mu: increasing and
    continuous. Source: ours. Raises InvalidInput for moments out of range or mu = 0.
    """
    mu2 = _check_ceiling(mu, mu2, threshold)
    m = mu2 / mu / mu
    if threshold <= mu:
        return exp(threshold) * (threshold / mu + m - 1.0) + 1.0
    return (m + 1.0 / mu) * exp(threshold) + 1.0 - exp(mu) / mu


def lemma_4(mu: float, threshold: float) -> float:
    """e^t/mu: what E N(t) is asymptotic to for a non-arithmetic step law, within a factor 1 + o(1).

    The difference itself is not bounded, against the remark below the lemma (docs/theory/errata.md). Source:
    arXiv 2512.11718v1, Lemma 4. Raises InvalidInput for mu = 0.
    """
    _check_ceiling(mu, mu * mu, threshold)
    return exp(threshold) / mu


def lemma_4_arithmetic(mu: float, threshold: float, span: float) -> float:
    """The value span e^s/(mu (1 - e^-span)), s the largest multiple of the span <= t: Lemma 4 on a lattice.

    span: the largest lambda > 0 such that every -ln p is a multiple of it. Source: ours (the paper leaves
    the arithmetic case at "some additional constant"). Raises InvalidInput for mu = 0 or span <= 0.
    """
    _check_ceiling(mu, mu * mu, threshold)
    if not span > 0.0:
        raise InvalidInput(f"the span of a lattice must be > 0 nats, got {span}")
    lattice_point = span * floor((threshold + POSITION_ATOL) / span)
    return span * exp(lattice_point) / (mu * -expm1(-span))


def arithmetic_span(positions: Sequence[float], finest: float = 1e-3) -> float | None:
    """The largest lambda >= finest with every position a multiple of it (within POSITION_ATOL), or None.

    Only multiples of lambda count as arithmetic: a shifted grid c + lambda Z, which Definition 5 of
    arXiv 2512.11718v1 also admits, has an ordinary renewal limit. `finest` separates the two: in float64
    every number is a multiple of something. Positions of 0 put no condition on lambda.
    """
    span = 0.0
    for position in positions:
        larger, smaller = max(span, position), min(span, position)
        while smaller > POSITION_ATOL:
            remainder = larger % smaller
            # A remainder just below the divisor is a rounded 0.
            larger, smaller = smaller, 0.0 if smaller - remainder < POSITION_ATOL else remainder
        span = larger
    return span if span >= finest else None


def _listed_paths(
    positions: FloatArray, weights: FloatArray, generation: int
) -> tuple[FloatArray, FloatArray]:
    """Positions and weights of all sequences of `generation` steps."""
    if generation < 0 or len(positions) ** generation > _LARGEST_LISTING:
        raise InvalidInput(
            f"generation {generation} of {len(positions)} displacements cannot be listed (at most "
            f"{_LARGEST_LISTING} paths); take fewer generations or a smaller law"
        )
    sums, products = np.zeros(1), np.ones(1)
    for _ in range(generation):
        sums = np.add.outer(sums, positions).ravel()
        products = np.multiply.outer(products, weights).ravel()
    return sums, products


def _expected_sum(positions: FloatArray, weights: FloatArray, threshold: float) -> float:
    """Sum over step sequences ending at or below t of the product of their weights."""
    standing = float(weights[0]) if positions[0] == 0.0 else 0.0
    if standing >= 1.0:
        raise InvalidInput("every context is certain: infinitely many nodes stand at V = 0")
    moving = positions > 0.0
    # Steps of length 0 may be put before, between and after the n others: (1 - c_0)^-(n+1) in all.
    stretched: list[float] = (weights[moving] / (1.0 - standing)).tolist()
    total = 0.0
    for times in _multisets(positions[moving].tolist(), threshold):
        total += _orders(times) * prod(weight**n for weight, n in zip(stretched, times, strict=True))
    return total / (1.0 - standing)


def _multisets(positions: list[float], threshold: float) -> Iterator[tuple[int, ...]]:
    """How often each step (all > 0) is taken, for every multiset of steps with a sum of at most t."""
    if not threshold >= 0.0:
        raise InvalidInput(f"positions are surprisals, >= 0 nats, got t = {threshold}")

    def beyond(kind: int, room: float) -> Iterator[tuple[int, ...]]:
        if kind == len(positions):
            yield ()
            return
        for times in range(floor(room / positions[kind]) + 1):
            for rest in beyond(kind + 1, room - times * positions[kind]):
                yield (times, *rest)

    return beyond(0, threshold + POSITION_ATOL)


def _orders(times: tuple[int, ...]) -> int:
    """The multinomial coefficient: in how many orders the steps of a multiset can be taken."""
    return factorial(sum(times)) // prod(factorial(n) for n in times)


def _check_ceiling(mu: float, mu2: float, threshold: float) -> float:
    checked = check_moments(mu, mu2)
    if mu == 0.0 or not threshold >= 0.0:
        raise InvalidInput(
            f"E N(t) has a ceiling for mu > 0 and t >= 0 only, got mu = {mu} and t = {threshold}"
        )
    return checked
