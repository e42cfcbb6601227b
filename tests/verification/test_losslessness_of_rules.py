"""Every rule that claims losslessness has exactly the target's law of texts, on every draft it accepts.

Drafts and verdicts are both enumerated, through the growth and the `verify` that decoding calls; the text a
call emits is continued by the target to a fixed length, and the law of whole texts compared. Broken rules and
broken drafts must fail the same check.
"""

import itertools

import numpy as np
import pytest

from broken_verification import FreshSampleOnMismatch, with_raw_laws, without_the_less_likely_sibling
from cases import thinned
from speclight.errors import InvalidInput, VocabularyMismatch
from speclight.trees.draft_tree import DraftTree, SampledChildren
from speclight.trees.shapes import by_level
from speclight.verification.enumeration import enumerate_outcomes
from speclight.verification.noise import UniformNoise
from speclight.verification.rejection import Rejection
from speclight.verification.residual import residual_law
from speclight.verification.rules import RULES
from tabular import CHAINS, RELATIONS, SHAPES, ExactText, TabularPair, drafted_trees, target_laws

# Sums of at most some 10^4 products of about ten float64 factors near 1.
EXACT_ATOL = 1e-12
# The smallest error of a broken rule that these tests count as seen.
BIAS = 1e-2
# Laws with no special relation; drafter and target are 0.48 apart in total variation at the root.
BIASED = TabularPair(7, ("unrelated",))

LOSSLESS = [name for name, rule in RULES.items() if rule.is_lossless]
CASES = [
    (name, kind, shape)
    for name, rule in RULES.items()
    for kind in sorted(rule.draft_kinds)
    for shape in (CHAINS if name == "block" else SHAPES)
]
LOSSLESS_CASES = [case for case in CASES if case[0] in LOSSLESS]


def exact_text(name, pair, shape, kind):
    return ExactText(RULES[name], pair, SHAPES[shape], kind)


@pytest.mark.parametrize(("name", "kind", "shape"), LOSSLESS_CASES)
@pytest.mark.parametrize("seed", thinned([0, 7]))
def test_the_law_is_the_targets(name, kind, shape, seed):
    """All relations between target and drafter occur, a random one at each text."""
    text = exact_text(name, TabularPair(seed, greedy=name == "greedy"), shape, kind)
    assert text.error < EXACT_ATOL


# Every rule has all seven relations at once in the test above; alone, two or three of them in every run.
PAIRS = list(itertools.product(LOSSLESS, RELATIONS))


@pytest.mark.parametrize(
    ("name", "relation"), thinned([*PAIRS[::3], *PAIRS[1::3], *PAIRS[2::3]], len(PAIRS[::3]))
)
@pytest.mark.parametrize("seed", thinned(range(3)))
def test_the_law_is_the_targets_for_each_relation_to_the_drafter(name, relation, seed):
    pair = TabularPair(seed, (relation,), greedy=name == "greedy")
    for kind in RULES[name].draft_kinds:
        shape = SHAPES["chain"] if name == "block" else by_level([2, 1])
        assert ExactText(RULES[name], pair, shape, kind).error < EXACT_ATOL


def test_the_lossy_rule_is_not_lossless_and_says_so():
    assert not RULES["typical"].is_lossless
    assert "LOSSY" in (type(RULES["typical"]).__doc__ or "")
    for kind in RULES["typical"].draft_kinds:
        assert exact_text("typical", BIASED, "fork", kind).error > BIAS


SAMPLED_RULES = ["rejection", "rejection_without_replacement", "k_seq", "block", "traversal"]


def sampled_kind(name):
    return next(kind for kind in sorted(RULES[name].draft_kinds, reverse=True) if kind != "deterministic")


@pytest.mark.parametrize("kind", ["with_replacement", "without_replacement"])
def test_a_fresh_sample_on_mismatch_is_noticed(kind):
    for shape in ("one", "fork"):
        assert ExactText(FreshSampleOnMismatch(), BIASED, SHAPES[shape], kind).error > BIAS


@pytest.mark.parametrize("name", SAMPLED_RULES)
def test_raw_drafter_laws_are_noticed(name):
    pair, kind = BIASED, sampled_kind(name)
    assert ExactText(RULES[name], pair, SHAPES["chain"], kind, with_raw_laws).error > BIAS


@pytest.mark.parametrize("name", SAMPLED_RULES)
def test_a_sibling_dropped_for_its_value_is_noticed(name):
    pair, kind = BIASED, sampled_kind(name)
    assert ExactText(RULES[name], pair, by_level([2]), kind, without_the_less_likely_sibling).error > BIAS


def integrated_law(target, drafter, *, shared):
    """Law of the token emitted by rejection of one draft, integrated over the uniforms of draft and residual.

    Every quantity is constant between the steps of the two cumulated laws, so one point per cell is exact.
    shared: the residual is drawn with the very uniform that drew the draft.
    """
    residual = residual_law(target, drafter)
    steps = np.unique(
        np.concatenate([[0.0, 1.0], np.cumsum(drafter), np.cumsum(target), np.cumsum(residual)])
    )
    steps = steps[steps <= 1.0]
    middles, widths = (steps[1:] + steps[:-1]) / 2.0, np.diff(steps)
    law = np.zeros(len(target))
    for uniform, width in zip(middles, widths, strict=True):
        token = UniformNoise(np.zeros(1), np.array([uniform])).sample(0, drafter)
        samples = (SampledChildren(drafter, np.array([1])), None)
        tree = DraftTree(np.array([0, token]), np.array([-1, 0]), np.zeros(2), "with_replacement", samples)
        accepting = min(1.0, target[token] / drafter[token])
        for coin, coin_width in ((accepting / 2.0, accepting), ((1.0 + accepting) / 2.0, 1.0 - accepting)):
            draws = [(uniform, 1.0)] if shared else list(zip(middles, widths, strict=True))
            for draw, draw_width in draws:
                noise = UniformNoise(np.array([coin]), np.array([draw, draw]))
                verdict = Rejection().verify(tree, lambda node: target, noise)
                law[verdict.tokens(tree)[0]] += width * coin_width * draw_width
    return law


def test_a_residual_drawn_from_the_drafts_noise_is_noticed():
    target, drafter = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])  # two tokens left over
    assert np.abs(integrated_law(target, drafter, shared=False) - target).max() < EXACT_ATOL
    assert np.abs(integrated_law(target, drafter, shared=True) - target).max() > BIAS


def drafted(law, draws, kind="with_replacement"):
    """Children of the root, [draws] tokens."""
    distinct = list(dict.fromkeys(draws))
    nodes = np.array([1 + distinct.index(token) for token in draws])
    samples = (SampledChildren(np.array(law), nodes), *([None] * len(distinct)))
    parents = np.array([-1] + [0] * len(distinct))
    return DraftTree(np.array([0, *distinct]), parents, np.zeros(len(parents)), kind, samples)


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        (drafted([0.5, 0.3, 0.0], [0]), InvalidInput, "sums to 0.8"),
        (drafted([0.5, 0.5, 0.0], [2]), InvalidInput, "above 0 at every draw"),
        (drafted([1.2, -0.2, 0.0], [0]), InvalidInput, "renormalised"),
        (drafted([0.5, 0.5], [0]), VocabularyMismatch, "vocabulary"),
        (drafted([0.5, 0.5, 0.0], [0, 0], "without_replacement"), InvalidInput, "repeat a token"),
    ],
)
def test_recorded_laws_that_cannot_be_right_are_refused(tree, error, message):
    rule = RULES["traversal"]
    with pytest.raises(error, match=message):
        rule.verify(tree, lambda node: np.full(3, 1.0 / 3.0), UniformNoise(np.zeros(2), np.zeros(3)))


def test_block_refuses_a_tree_that_branches():
    with pytest.raises(InvalidInput, match="verifies chains"):
        exact_text("block", TabularPair(0, ("unrelated",)), "fork", "deterministic")


@pytest.mark.parametrize("name", [name for name in RULES if name not in {"block", "traversal", "typical"}])
def test_rules_that_walk_down_process_laws_on_the_accepted_path_only(name):
    kind, pair = sorted(RULES[name].draft_kinds)[-1], TabularPair(3)
    for tree, _ in drafted_trees(pair, SHAPES["irregular"], kind):
        laws = target_laws(pair, (), tree)
        for outcome in enumerate_outcomes(
            lambda noise, tree=tree, laws=laws: asked_and_path(name, tree, laws, noise)
        ):
            asked, path = outcome.result
            assert asked == path


def asked_and_path(name, tree, laws, noise):
    asked: dict[int, None] = {}

    def law(node):
        asked[node] = None
        return laws(node)

    verdict = RULES[name].verify(tree, law, noise)
    return list(asked), verdict.path.tolist()


@pytest.mark.parametrize("name", ["block", "traversal", "typical"])
def test_rules_that_look_ahead_leave_rejected_leaves_alone(name):
    pair, kind = TabularPair(3), "without_replacement"
    for tree, _ in drafted_trees(pair, SHAPES["chain"], kind):
        laws, leaf = target_laws(pair, (), tree), len(tree) - 1
        for outcome in enumerate_outcomes(
            lambda noise, tree=tree, laws=laws: asked_and_path(name, tree, laws, noise)
        ):
            asked, path = outcome.result
            assert set(path) <= set(asked) | {0}
            assert (leaf in asked) == (leaf in path)
