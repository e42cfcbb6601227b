"""The Monte Carlo optimum: compiled equals plain on the same noise, and both equal what is known exactly."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import speclight
from speclight.errors import InvalidInput
from speclight.theory.truth.optimum import best_tree
from speclight.theory.truth.simulate import grow_trees_compiled, grow_trees_plain, simulate_optimum
from speclight.theory.truth.sources import (
    TokenSource,
    iid_source,
    reference_sources,
    tabular_source,
    uniform_source,
)

# Sums of up to 1024 products of float64 probabilities.
ROUNDING_ATOL = 1e-11


def ending_source():
    return tabular_source(4, 3, np.random.default_rng(3), end_of_text=1)


@pytest.mark.parametrize("source", [*reference_sources(), ending_source()], ids=lambda source: source.name)
def test_compiled_grows_the_very_trees_of_the_plain_version(source):
    noise = np.random.default_rng(11).random((6, 90, 2))
    plain, compiled = grow_trees_plain(source, noise), grow_trees_compiled(source, noise)
    np.testing.assert_array_equal(compiled.path_probs, plain.path_probs)
    np.testing.assert_array_equal(compiled.parents, plain.parents)
    np.testing.assert_array_equal(compiled.tokens, plain.tokens)


@pytest.mark.parametrize("vocabulary_size", [2, 4, 8])
def test_uniform_sources_are_exact_at_every_budget(vocabulary_size):
    """The P-th node of a uniform law has probability m^-depth; level k is complete at (m^k - 1)/(m - 1)."""
    optimum = simulate_optimum(uniform_source(vocabulary_size), 1024, 2, np.random.default_rng(0))
    exact = best_tree(uniform_source(vocabulary_size), 0, 1024).tokens_per_call
    np.testing.assert_allclose(optimum.tokens_per_call, exact, rtol=0, atol=ROUNDING_ATOL)
    np.testing.assert_array_equal(optimum.standard_error, 0.0)
    for levels in range(1, 4):
        nodes = (vocabulary_size**levels - 1) // (vocabulary_size - 1)
        assert optimum.tokens_per_call[nodes - 1] == levels


def test_two_random_laws_and_two_nodes_by_hand():
    """P = 2 takes the likeliest token of the root: E[X] = 1 + (.9 + .5)/2 = 1.7.

    20,000 trees: SE 0.0014, five allowed (false alarm 6e-7), power above 0.999 against an error of 1%."""
    source = iid_source("two laws", np.array([[0.9, 0.1], [0.5, 0.5]]))
    optimum = simulate_optimum(source, 2, 20_000, np.random.default_rng(1))
    assert optimum.standard_error[1] == pytest.approx(0.2 / np.sqrt(20_000), rel=0.05)
    assert abs(optimum.tokens_per_call[1] - 1.7) < 5 * optimum.standard_error[1]


def test_batches_do_not_change_the_statistics(monkeypatch):
    source = reference_sources()[5]
    whole = simulate_optimum(source, 16, 40, np.random.default_rng(4))
    monkeypatch.setattr("speclight.theory.truth.simulate.NODES_PER_BATCH", 16 * 7)
    parts = simulate_optimum(source, 16, 40, np.random.default_rng(4))
    np.testing.assert_allclose(parts.tokens_per_call, whole.tokens_per_call, rtol=0, atol=ROUNDING_ATOL)
    np.testing.assert_allclose(parts.standard_error, whole.standard_error, rtol=0, atol=ROUNDING_ATOL)


def test_engines_give_one_estimate_from_one_seed():
    source = reference_sources()[9]
    compiled = simulate_optimum(source, 30, 20, np.random.default_rng(9), "compiled")
    plain = simulate_optimum(source, 30, 20, np.random.default_rng(9), "plain")
    np.testing.assert_array_equal(compiled.tokens_per_call, plain.tokens_per_call)


def test_finite_trees_stop_growing():
    laws = np.array([[[0.5, 0.5]], [[0.0, 1.0]]])
    next_type = np.zeros((2, 2, 2))
    next_type[..., 1] = 1.0
    source = TokenSource("two tokens long", laws, next_type, np.array([1.0, 0.0]), end_of_text=1)
    optimum = simulate_optimum(source, 6, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(optimum.tokens_per_call, [1.0, 1.5, 1.5, 1.5, 1.5, 1.5])


@pytest.mark.slow
def test_importing_loads_no_compiler_and_running_writes_nothing_into_the_package():
    """In a fresh process: numba arrives with the first compiled call, not with the import."""
    program = (
        "import sys, numpy as np\n"
        "from speclight.theory.truth.simulate import grow_trees_compiled\n"
        "from speclight.theory.truth.sources import uniform_source\n"
        "assert 'numba' not in sys.modules\n"
        "grow_trees_compiled(uniform_source(2), np.zeros((1, 3, 2)))\n"
        "assert 'numba' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    package = Path(speclight.__file__).parent
    assert not [path for path in package.rglob("*") if path.suffix in {".nbi", ".nbc"}]


def test_wrong_sizes_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="trees >= 2"):
        simulate_optimum(uniform_source(2), 4, 1, rng)
    with pytest.raises(InvalidInput, match="node_budget >= 1"):
        simulate_optimum(uniform_source(2), 0, 10, rng)
    with pytest.raises(InvalidInput, match="engine"):
        simulate_optimum(uniform_source(2), 4, 10, rng, "fast")
