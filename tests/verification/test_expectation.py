"""The expected tokens of a rule given the tree, against the rule itself."""

import numpy as np
import pytest

from speclight.trees.draft_tree import DraftTree
from speclight.verification.enumeration import enumerate_outcomes
from speclight.verification.expectation import expected_tokens
from speclight.verification.rules import RULES
from tabular import SHAPES, TabularPair, draft, target_laws

MEAN_ATOL = 1e-12  # sums of a few dozen products
DETERMINISTIC = [name for name, rule in RULES.items() if "deterministic" in rule.draft_kinds]
KINDS = {"with_replacement": "rejection", "without_replacement": "rejection_without_replacement"}


class Generator:
    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def sample(self, law):
        return int(self._rng.choice(len(law), p=law))


def drafted(pair: TabularPair, shape: str, kind: str, seed: int) -> DraftTree:
    return draft(pair, (), SHAPES[shape], kind, Generator(seed))


@pytest.mark.parametrize(
    "name", [name for name, rule in RULES.items() if "deterministic" in rule.draft_kinds]
)
@pytest.mark.parametrize("shape", ["chain", "irregular"])
def test_deterministic_drafts_against_every_outcome(name, shape):
    """All noise enumerated, draws of tokens too, which the function leaves out."""
    if name == "block" and shape != "chain":
        return
    pair = TabularPair(3, greedy=name == "greedy")
    tree = drafted(pair, shape, "deterministic", 0)
    laws = target_laws(pair, (), tree)
    whole = enumerate_outcomes(lambda noise: len(RULES[name].verify(tree, laws, noise).path))
    mean = sum(outcome.result * outcome.probability for outcome in whole)
    found = expected_tokens(RULES[name], tree, laws)
    assert found == pytest.approx(mean, abs=MEAN_ATOL)


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_drafts_against_every_outcome(kind):
    pair, rule = TabularPair(5, ("unrelated",)), RULES[KINDS[kind]]
    values = set()
    for seed in range(6):
        tree = drafted(pair, "binary", kind, seed)
        laws = target_laws(pair, (), tree)
        whole = enumerate_outcomes(
            lambda noise, tree=tree, laws=laws: len(rule.verify(tree, laws, noise).path)
        )
        mean = sum(outcome.result * outcome.probability for outcome in whole)
        assert expected_tokens(rule, tree, laws) == pytest.approx(mean, abs=MEAN_ATOL)
        values.add(round(mean, 6))
    assert len(values) > 1


def test_drafts_that_share_noise_have_none():
    tree = DraftTree(np.array([0, 1]), np.array([-1, 0]), np.array([0.0, -0.5]), "race")
    assert expected_tokens(RULES["race"], tree, lambda _: np.array([0.5, 0.5])) is None
