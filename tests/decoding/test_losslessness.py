"""Speculative text has exactly the target's law: enumerated through the whole loop, then by statistics.

The enumeration runs `decode` itself (drafter, tree attention, cache, rule, commit) with noise that tries
every outcome, so nothing in it is a separate formula. The same check must fail when the mask, the cache
roll-back or the acceptance rule is broken on purpose.
"""

import numpy as np
import pytest
from scipy import stats

from cases import thinned
from every_outcome import law_of
from speclight.decoding.decode import DecodeSettings, decode
from speclight.drafting.no_drafter import NoDrafter
from speclight.models import visibility
from speclight.models.kv_cache import PathCache
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import Draft, DraftCost
from speclight.verification.rule import ANY_DRAFT
from speclight.verification.target_sample import TargetSample
from speclight.verification.verdict import Verdict
from toys import broken_mask, exact_text_law, tiny_target

PROMPT = [0, 1, 2, 0]
LENGTH = 4
# Texts of 4 tokens under a float64 target: the loop's law misses the chain rule's by rounding only.
EXACT_ATOL = 1e-12


class ShapedDrafter:
    """Drafts a fixed shape with tokens that depend on the text so far, so every call differs."""

    hidden_layers = ()

    def __init__(self, parents, name="shaped"):
        self.name = name
        self.parents = np.array(parents)
        self.text = []

    def begin(self, token_ids, features):
        self.text = list(token_ids)

    def extend(self, token_ids, features):
        self.text.extend(token_ids)

    def propose(self, node_budget, noise):
        parents = self.parents[:node_budget]
        shift = sum(self.text) % 3
        rank = [int(np.sum(parents[:node] == parents[node])) for node in range(len(parents))]
        tokens = [self.text[-1]] + [(shift + node + rank[node]) % 3 for node in range(1, len(parents))]
        for node in range(1, len(parents)):  # siblings differ
            taken = {tokens[other] for other in range(1, node) if parents[other] == parents[node]}
            while tokens[node] in taken:
                tokens[node] = (tokens[node] + 1) % 3
        return Draft(DraftTree(np.array(tokens), parents, np.zeros(len(parents))), DraftCost(0, 0))


SHAPES = {
    "chain": [-1, 0, 1, 2],
    "batch": [-1, 0, 0, 0],
    "fork": [-1, 0, 0, 1, 1, 2],
    "deep fork": [-1, 0, 0, 1, 3, 3, 2],
}


def decoded(target, drafter, rule, noise, length):
    settings = DecodeSettings(node_budget=8, max_tokens=length)
    calls = decode(target, drafter, rule, PROMPT, settings, noise)
    return tuple(token for call in calls for token in call.emitted_tokens)


def enumerated_law(target, drafter, rule, length=LENGTH):
    return law_of(lambda noise: decoded(target, drafter, rule, noise, length))


def total_variation(one, other):
    return 0.5 * sum(abs(one.get(text, 0.0) - other.get(text, 0.0)) for text in set(one) | set(other))


@pytest.mark.parametrize(("shape", "length"), thinned([("fork", 3), *((name, LENGTH) for name in SHAPES)]))
def test_the_enumerated_law_is_the_targets(shape, length):
    target = tiny_target(seed=1)
    law = enumerated_law(target, ShapedDrafter(SHAPES[shape]), TargetSample(), length)
    exact = exact_text_law(target, PROMPT, length)
    assert law.keys() == exact.keys()
    assert max(abs(law[text] - exact[text]) for text in exact) < EXACT_ATOL


@pytest.mark.slow  # tests/drafting/test_drafters.py has plain decoding among its drafters
def test_the_enumerated_law_without_a_drafter():
    target = tiny_target(seed=2)
    law = enumerated_law(target, NoDrafter(), TargetSample(), length=3)
    assert total_variation(law, exact_text_law(target, PROMPT, 3)) < EXACT_ATOL


def test_end_of_text_ends_every_text_exactly_there():
    target = tiny_target(seed=1, end_of_text=frozenset({2}))
    drafter = ShapedDrafter([-1])
    law = enumerated_law(target, drafter, TargetSample())
    assert all(2 not in text[:-1] and (text[-1] == 2 or len(text) == LENGTH) for text in law)
    assert abs(sum(law.values()) - 1.0) < EXACT_ATOL


class AcceptsTheFirstChild:
    """Broken rule: the first drafted child is accepted whatever the target says."""

    name, is_lossless, draft_kinds = "broken", True, ANY_DRAFT

    def verify(self, tree, target_laws, noise):
        children = tree.children(0)
        path = [0, int(children[0])] if len(children) else [0]
        return Verdict(np.array(path), noise.sample(path[-1], target_laws(path[-1])))


def test_a_broken_rule_is_noticed():
    target = tiny_target(seed=1)
    law = enumerated_law(target, ShapedDrafter(SHAPES["fork"]), AcceptsTheFirstChild())
    assert total_variation(law, exact_text_law(target, PROMPT, LENGTH)) > 0.05


def test_a_broken_mask_is_noticed(monkeypatch):
    monkeypatch.setattr(visibility, "ancestor_mask", lambda tree: broken_mask(len(tree)))
    target = tiny_target(seed=1)
    law = enumerated_law(target, ShapedDrafter(SHAPES["fork"]), TargetSample(), length=3)
    assert total_variation(law, exact_text_law(target, PROMPT, 3)) > 1e-3


@pytest.mark.slow
def test_a_broken_roll_back_is_noticed(monkeypatch):
    sound = PathCache.keep

    def keep_the_first_slots(cache, slots):
        sound(cache, list(range(cache.committed, cache.committed + len(slots))))

    monkeypatch.setattr(PathCache, "keep", keep_the_first_slots)
    target = tiny_target(seed=1)
    law = enumerated_law(target, ShapedDrafter(SHAPES["fork"]), TargetSample())
    assert total_variation(law, exact_text_law(target, PROMPT, LENGTH)) > 1e-3


def chi_square_p_value(counts, exact, total):
    """Chi-square over whole texts, cells with fewer than 10 expected pooled into one."""
    cells = sorted(exact, key=lambda text: exact[text])
    observed, expected, pooled_observed, pooled_expected = [], [], 0.0, 0.0
    for text in cells:
        pooled_observed += counts.get(text, 0)
        pooled_expected += exact[text] * total
        if pooled_expected >= 10.0:
            observed.append(pooled_observed)
            expected.append(pooled_expected)
            pooled_observed = pooled_expected = 0.0
    observed[-1] += pooled_observed
    expected[-1] += pooled_expected
    return stats.chisquare(observed, expected).pvalue


def sampled_counts(target, rule, total):
    counts: dict[tuple[int, ...], int] = {}
    drafter = ShapedDrafter(SHAPES["fork"])
    for seed in range(total):
        settings = DecodeSettings(node_budget=8, max_tokens=3, seed=seed)
        text = tuple(
            t for call in decode(target, drafter, rule, PROMPT, settings) for t in call.emitted_tokens
        )
        counts[text] = counts.get(text, 0) + 1
    return counts


STRINGS = 2000


@pytest.mark.slow
def test_sampled_texts_follow_the_targets_law():
    """Texts of 3 tokens (27 cells) with real uniforms: false alarm 1e-4 per run, one run with fixed seeds.

    Power: at 2000 texts a law at total variation 0.06 spread over half the cells has noncentrality above 28,
    which 26 degrees of freedom at 1e-4 (threshold 60.1) catch with probability 0.34; at 0.12 with 0.99.
    The exact test above sees anything larger than 1e-12; this one is there for the uniforms themselves.
    """
    target = tiny_target(seed=1)
    counts = sampled_counts(target, TargetSample(), STRINGS)
    assert chi_square_p_value(counts, exact_text_law(target, PROMPT, 3), STRINGS) > 1e-4


@pytest.mark.slow
def test_the_statistics_notice_a_broken_rule():
    target = tiny_target(seed=1)
    counts = sampled_counts(target, AcceptsTheFirstChild(), 500)
    assert chi_square_p_value(counts, exact_text_law(target, PROMPT, 3), 500) < 1e-4
