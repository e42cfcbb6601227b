"""Pairs (target law, drafter law): random ones, and the corner cases every formula on pairs must survive."""

import numpy as np
from hypothesis import strategies as st

# One-hot laws, zeros on either side, equal laws, disjoint supports, and masses at the edge of float64.
CORNER_PAIRS = {
    "equal": ([0.5, 0.3, 0.2], [0.5, 0.3, 0.2]),
    "zeros in target": ([0.0, 0.6, 0.4, 0.0], [0.3, 0.2, 0.1, 0.4]),
    "zeros in drafter": ([0.3, 0.2, 0.1, 0.4], [0.0, 0.6, 0.4, 0.0]),
    "zeros in both": ([0.7, 0.0, 0.3], [0.4, 0.0, 0.6]),
    "disjoint": ([0.4, 0.6, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]),
    "one-hot target": ([0.0, 1.0, 0.0], [0.5, 0.2, 0.3]),
    "one-hot drafter": ([0.5, 0.2, 0.3], [0.0, 1.0, 0.0]),
    "equal one-hot": ([0.0, 1.0], [0.0, 1.0]),
    "opposite one-hot": ([1.0, 0.0], [0.0, 1.0]),
    "tiny masses": ([1e-300, 1e-17, 1.0 - 1e-17], [1.0 - 1e-12, 1e-12, 1e-300]),
    "single token": ([1.0], [1.0]),
    "uniform against skewed": ([0.25] * 4, [0.97, 0.01, 0.01, 0.01]),
}


def corner_pair(name):
    target, drafter = CORNER_PAIRS[name]
    return np.array(target), np.array(drafter)


def random_pairs(count, seed, largest_vocabulary=6):
    """Dirichlet pairs of 2..largest_vocabulary tokens, from peaked (0.3) to flat (3) concentration."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        size = int(rng.integers(2, largest_vocabulary + 1))
        concentration = (0.3, 1.0, 3.0)[index % 3]
        yield rng.dirichlet(np.full(size, concentration)), rng.dirichlet(np.full(size, concentration))


@st.composite
def law_pairs(draw, largest_vocabulary=6, zeros_in_drafter=True):
    """Pairs built from small integer weights, so that zeros, ties and equal laws turn up often."""
    size = draw(st.integers(1, largest_vocabulary))

    def law(smallest):
        weights = draw(st.lists(st.integers(smallest, 20), min_size=size, max_size=size).filter(any))
        return np.array(weights, dtype=np.float64) / sum(weights)

    return law(0), law(0 if zeros_in_drafter else 1)
