"""The torch versions give the verdicts of the plain rules on the same noise."""

from collections import defaultdict

import numpy as np
import pytest
import torch

from cases import thinned
from speclight.errors import InvalidInput
from speclight.verification.batched import BATCHED, batch_of, noise_of
from speclight.verification.noise import noise_shape, uniform_noise
from speclight.verification.rules import RULES
from tabular import CHAINS, SHAPES, VOCABULARY, TabularPair, draft, target_laws

CASES = [
    (name, kind) for name in BATCHED for kind in sorted(RULES[name].draft_kinds)
]  # every kind a rule accepts, repeated draws among them


class Uniforms:
    def __init__(self, rng):
        self.rng = rng

    def sample(self, law):
        return int(np.searchsorted(np.cumsum(law), self.rng.random(), side="right"))


def structure(tree):
    draws = tuple(None if sample is None else tuple(sample.draws) for sample in tree.samples or ())
    return tuple(tree.parents), draws


@pytest.mark.parametrize(("name", "kind"), CASES)
@pytest.mark.parametrize("pairs", thinned([20, 120]))
def test_the_same_noise_gives_the_same_verdict(name, kind, pairs):
    """Rounding decides only where a uniform falls within 1e-15 of its threshold: 1e-10 over all cases."""
    rng = np.random.Generator(np.random.Philox(5))
    accepted = 0
    for shape in CHAINS if name == "block" else SHAPES:
        groups = defaultdict(list)
        for seed in range(pairs):
            pair = TabularPair(seed)
            tree = draft(pair, (), SHAPES[shape], kind, Uniforms(rng))
            laws = target_laws(pair, (), tree)
            groups[structure(tree)].append((tree, laws, uniform_noise(rng, noise_shape(tree))))
        for group in groups.values():
            trees, laws, noises = zip(*group, strict=True)
            batch = batch_of(trees, VOCABULARY)
            table = np.array([[law(node) for node in range(len(tree))] for tree, law, _ in group])
            found = BATCHED[name](batch, torch.from_numpy(table), noise_of(noises)).verdicts(batch)
            for (tree, law, noise), verdict in zip(group, found, strict=True):
                expected = RULES[name].verify(tree, law, noise)
                assert verdict.path.tolist() == expected.path.tolist()
                assert verdict.next_token == expected.next_token
                accepted += verdict.accepted_drafts
    assert accepted > pairs // 3


def test_trees_of_different_shapes_are_refused():
    pair = TabularPair(0, ("unrelated",))
    trees = [draft(pair, (), SHAPES[shape], "deterministic", None) for shape in ("chain", "batch")]
    with pytest.raises(InvalidInput, match="agree in kind, shape"):
        batch_of(trees, VOCABULARY)


def test_block_refuses_trees_that_branch():
    pair = TabularPair(0, ("unrelated",))
    tree = draft(pair, (), SHAPES["fork"], "deterministic", None)
    noise = uniform_noise(np.random.default_rng(0), noise_shape(tree))
    laws = torch.full((1, len(tree), VOCABULARY), 1.0 / VOCABULARY, dtype=torch.float64)
    with pytest.raises(InvalidInput, match="verifies chains"):
        BATCHED["block"](batch_of([tree], VOCABULARY), laws, noise_of([noise]))
