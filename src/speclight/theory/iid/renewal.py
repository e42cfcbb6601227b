"""The renewal bound: E N(t) of the measured step law, computed on its lattice, in place of Lorden's envelope.

N(t) counts the nodes v of the token tree with V(v) = -ln P(v) <= t. For i.i.d. contexts E N(t) is the sum
over depths of the d-fold convolution of the count measure (Claim 1 of arXiv 2512.11718v1), and
E[X] <= int_0^inf e^-t min(P, E N(t)) dt (Jensen). Two things keep the numerical value on the safe side:
positions are rounded down, so every lattice node stands no later than the true one, and only depths below
P are counted, because the optimal tree of P nodes holds no deeper one. Ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from speclight.arrays import ComplexArray, FloatArray
from speclight.errors import InvalidInput
from speclight.theory.bound import Assumption, Bound, check_node_budget
from speclight.theory.iid.lattice import counted_to_budget, damping_for
from speclight.theory.laws.step_law import StepLaw, coarsened

# A halving of the width must move the value by less than this share of it, twice running: once is not
# enough, since a law on a lattice can stand still for one halving and jump at the next.
HALVING_RTOL = 1e-3
# Twice can be fooled as well: ln 2 has the binary digits 0.1011 000 1..., so the uniform law on two tokens
# stands still for three halvings, 2% high at P = 256. Rounding shortens the mean step mu by less than one
# width, half of one on average: below this share of mu no law is off by more than about 0.2%.
_WIDTH_PER_ENTROPY = 2e-3
_COARSEST_WIDTH = 0.125  # nats; coarser lattices cost nothing less and say little


@dataclass(frozen=True, slots=True, eq=False)  # array field: compare with np.array_equal, not ==
class NodeCount:
    """min(P, E N'(t)) on a lattice: entry k holds for t in [k width, (k+1) width), from below never above.

    E N' >= E N at every t, whatever the width. Beyond the last entry E N' counts as P. halvings_agree
    says whether the stopping rule was met at this width (False: the law's lattice was exhausted first; the
    count is an upper one all the same, only coarser).
    """

    width: float
    expected_nodes: FloatArray
    node_budget: int
    halvings_agree: bool

    @property
    def integral(self) -> float:
        """int_0^inf e^-t min(P, E N'(t)) dt, exact for the step function on the lattice."""
        if self.expected_nodes[0] >= self.node_budget:
            return float(self.node_budget)  # not P less a rounding error: an upper bound of P is P
        decay = np.exp(-self.width * np.arange(len(self.expected_nodes) + 1))
        return float(self.expected_nodes @ (decay[:-1] - decay[1:]) + self.node_budget * decay[-1])


def capped_node_count(counts: npt.ArrayLike, width: float, node_budget: int, bins: int) -> FloatArray:
    """[bins] min(P, sum over d < P of the d-fold convolution of `counts`, summed up to each bin).

    counts: [*] expected tokens per bin of `width` nats. One real transform forward and one back, of four
    times `bins`: the sequence is first tilted to neither grow nor shrink, then damped so that the cyclic
    wrap is negligible. Agrees with `plain_node_count` to about 1e-11 of the value.
    """
    if bins < 1:
        raise InvalidInput(f"a lattice needs at least one bin, got {bins}")
    budget = check_node_budget(node_budget)
    sequence = np.zeros(bins)
    given = np.asarray(counts, dtype=np.float64)[:bins]
    sequence[: len(given)] = given
    if sequence[0] >= 1.0:  # one node or more per generation at t = 0: P of them among P generations
        return np.full(bins, float(budget))
    filled = np.flatnonzero(sequence)
    values, positions = sequence[filled], filled * width
    damping = damping_for(bins, width, lambda theta: float(values @ np.exp(-theta * positions)))
    transformed = np.fft.rfft(damping.damped(sequence), damping.length)
    renewal = np.fft.irfft(_geometric_sum(transformed, budget), damping.length)[:bins]
    return damping.summed(renewal, budget)


def plain_node_count(counts: npt.ArrayLike, node_budget: int, bins: int) -> FloatArray:
    """[bins] as `capped_node_count`, by the renewal recursion in O(bins^2), all depths.

    u_0 = 1/(1 - c_0), u_k = sum_{j>=1} c_j u_{k-j}/(1 - c_0). Leaving out the depth cap makes it larger
    where nodes deeper than P stand below t; it is the readable form the fast one is tested against.
    """
    budget = check_node_budget(node_budget)
    sequence = np.zeros(bins)
    given = np.asarray(counts, dtype=np.float64)[:bins]
    sequence[: len(given)] = given
    if sequence[0] >= 1.0:
        return np.full(bins, float(budget))
    renewal = np.zeros(bins)
    renewal[0] = 1.0 / (1.0 - sequence[0])
    for k in range(1, bins):
        renewal[k] = sequence[1 : k + 1] @ renewal[k - 1 :: -1] / (1.0 - sequence[0])
    return np.minimum(np.cumsum(renewal), float(budget))


def node_count(law: StepLaw, node_budget: int) -> NodeCount:
    """min(P, E N'(t)) of a step law at its own width, out to where P is reached."""
    budget = check_node_budget(node_budget)
    nodes = counted_to_budget(
        budget, law.width, lambda bins: capped_node_count(law.counts, law.width, budget, bins)
    )
    return NodeCount(law.width, nodes, budget, halvings_agree=False)


def refined_node_count(law: StepLaw, node_budget: int) -> NodeCount:
    """`node_count` at the width where two successive halvings each moved its integral by < 0.1%.

    The width must also be below 0.2% of mu (see _WIDTH_PER_ENTROPY). Widths are the law's width times
    powers of two, the widest first. If the law's own width is reached before the rule is met, that is what is
    returned, with halvings_agree False.
    """
    factor = 1
    while law.width * factor * 2 <= _COARSEST_WIDTH:
        factor *= 2
    small_moves = 0
    current = node_count(coarsened(law, factor), node_budget)
    while factor > 1:
        factor //= 2
        finer = node_count(coarsened(law, factor), node_budget)
        moved = abs(finer.integral - current.integral)
        small_moves = small_moves + 1 if moved < HALVING_RTOL * finer.integral else 0
        current = finer
        # mu = 0: every step has length 0 and no width rounds anything.
        narrow = law.mu == 0.0 or finer.width <= _WIDTH_PER_ENTROPY * law.mu
        if small_moves >= 2 and narrow:
            return NodeCount(finer.width, finer.expected_nodes, finer.node_budget, halvings_agree=True)
    return current


def renewal(law: StepLaw, node_budget: int) -> Bound:
    """E[X] <= int_0^inf e^-t min(P, E N(t)) dt with E N of the measured step law.

    Uses the whole law instead of its two moments; on i.i.d. laws typically a few per cent above the
    optimum from P = 16 on. A target with mu = 0 gives P. Raises InvalidInput for a budget out of range.
    """
    count = refined_node_count(law, node_budget)
    rule = (
        "two halvings of it move the value by less than 0.1%"
        if count.halvings_agree
        else "the finest kept; a finer one may lower the value"
    )
    return Bound(
        name="renewal",
        value=min(count.integral, float(count.node_budget)),
        side="upper",
        assumptions=(Assumption.DETERMINISTIC_DRAFTING, Assumption.IID_CONTEXTS),
        source="ours, from the proof of arXiv 2512.11718v1, Theorem 1",
        origin="ours",
        validity=f"every P >= 1; lattice of {count.width:.3g} nats: {rule}",
    )


def _geometric_sum(ratio: ComplexArray, terms: int) -> ComplexArray:
    """1 + z + ... + z^(terms-1) by doubling: no division by 1 - z, which may be all but zero."""
    total, power = np.ones_like(ratio), ratio
    for bit in bin(terms)[3:]:
        total, power = total * (1.0 + power), power * power
        if bit == "1":
            total, power = 1.0 + ratio * total, power * ratio
    return total
