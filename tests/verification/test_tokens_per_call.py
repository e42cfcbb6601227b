"""How many tokens the rules emit, exactly: against closed forms, optimal transport and a linear program."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from cases import thinned
from speclight.theory.coins import acceptance
from speclight.theory.coins.optimal_transport import (
    containment_with_replacement,
    containment_without_replacement,
    transport_by_subsets,
    transport_with_replacement,
)
from speclight.theory.coins.rejection_without_replacement import rejection_without_replacement
from speclight.trees.shapes import by_level
from speclight.verification.k_seq import division_factor
from speclight.verification.noise import noise_shape, uniform_noise
from speclight.verification.rules import RULES
from tabular import (
    RELATIONS,
    SHAPES,
    VOCABULARY,
    ExactText,
    TabularPair,
    all_texts,
    drafted_trees,
    target_laws,
)

# Sums of at most some 10^3 products of float64 probabilities.
EXACT_ATOL = 1e-12
# HiGHS stops at primal and dual feasibilities of 1e-7 each; the objective is below 4.
PROGRAM_ATOL = 1e-6


def accepted_at_one_node(name, pair, drafts, kind):
    return ExactText(RULES[name], pair, by_level([drafts]), kind).tokens_per_call - 1.0


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("drafts", [1, 2, 3])
def test_acceptance_at_one_node_is_the_closed_form(relation, drafts):
    for seed in range(3):
        pair = TabularPair(seed, (relation,))
        laws = pair.target(()), pair.drafter(())
        expected = {
            "rejection": acceptance.rejection_with_replacement(*laws, drafts),
            "k_seq": acceptance.k_seq(*laws, drafts),
            "rejection_without_replacement": rejection_without_replacement(*laws, drafts),
        }
        for name, closed_form in expected.items():
            kind = "without_replacement" if name.startswith("rejection_") else "with_replacement"
            assert abs(accepted_at_one_node(name, pair, drafts, kind) - closed_form.acceptance) < EXACT_ATOL


@pytest.mark.parametrize("tries", [1, 2, 4, 16])
def test_the_fast_division_factor_is_the_plain_one(tries):
    rng = np.random.default_rng(tries)
    for concentration in (0.05, 1.0, 20.0):
        target, drafter = rng.dirichlet(np.full(500, concentration), size=2)
        plain = acceptance.division_factor(target, drafter, tries)
        # Both stop at neighbouring floats of sums of 500 terms taken in another order.
        assert abs(division_factor(target, drafter, tries) - plain) < 1e-12


@pytest.mark.parametrize("kind", ["deterministic", "with_replacement", "without_replacement"])
@pytest.mark.parametrize("drafts", [1, 2, 3])
def test_no_rule_accepts_more_than_optimal_transport(kind, drafts):
    for seed in range(12):
        pair = TabularPair(seed)
        target, drafter = pair.target(()), pair.drafter(())
        if kind == "with_replacement":
            limit = transport_with_replacement(target, drafter, drafts)
            by_subsets = transport_by_subsets(target, containment_with_replacement(drafter, drafts))
            assert abs(limit - by_subsets) < EXACT_ATOL
        elif kind == "without_replacement":
            limit = transport_by_subsets(target, containment_without_replacement(drafter, drafts))
        else:
            limit = acceptance.deterministic_top(target, drafter, drafts)
        for name, rule in RULES.items():
            if (
                rule.is_lossless
                and name != "greedy"
                and kind in rule.draft_kinds
                and (name != "block" or drafts == 1)
            ):
                assert accepted_at_one_node(name, pair, drafts, kind) <= limit + EXACT_ATOL


def test_the_lossy_rule_accepts_more_than_any_lossless_one_could():
    pair = TabularPair(7, ("unrelated",))
    limit = transport_with_replacement(pair.target(()), pair.drafter(()), 1)
    assert accepted_at_one_node("typical", pair, 1, "with_replacement") > limit + 0.1


def best_chain_verifier(pair, drafted):
    """Most tokens per call that any lossless verifier of a chain can emit, by a linear program.

    A verifier is, for each drafted chain, a law over (accepted prefix, token after it). It is lossless if the
    text it emits, continued by the target, has the target's law. Nothing else is assumed of it.
    """
    variables, emitted, weights = [], [], []
    for chain in all_texts(drafted):
        chance = float(np.prod([pair.drafter(chain[:step])[chain[step]] for step in range(drafted)]))
        for accepted, token in itertools.product(range(drafted + 1), range(VOCABULARY)):
            variables.append(chain)
            emitted.append((*chain[:accepted], token))
            weights.append(chance)
    weights = np.array(weights)
    texts = {text: row for row, text in enumerate(all_texts(drafted + 1))}
    law = np.zeros((len(texts), len(emitted)))
    for column, tokens in enumerate(emitted):
        missing = drafted + 1 - len(tokens)
        for rest in all_texts(missing):
            law[texts[(*tokens, *rest)], column] = weights[column] * pair.text_law(tokens, missing)[rest]
    chains = sorted(set(variables))
    decided = np.array([[1.0 * (variable == chain) for variable in variables] for chain in chains])
    lengths = np.array([len(tokens) for tokens in emitted])
    solution = linprog(
        -weights * lengths,
        A_eq=np.vstack([law, decided]),
        b_eq=np.concatenate([pair.text_law((), drafted + 1).ravel(), np.ones(len(chains))]),
        bounds=(0.0, 1.0),
    )
    assert solution.status == 0
    return -solution.fun


@pytest.mark.parametrize("drafted", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_block_verification_is_the_best_chain_verifier(drafted, seed):
    pair = TabularPair(seed, ("unrelated", "zero in target", "zero in drafter"))
    block = ExactText(RULES["block"], pair, by_level([1] * drafted), "with_replacement").tokens_per_call
    assert abs(block - best_chain_verifier(pair, drafted)) < PROGRAM_ATOL


def test_block_verification_is_never_below_token_by_token():
    gains = []
    for seed in range(20):
        pair = TabularPair(seed)
        block, single = (
            ExactText(RULES[name], pair, SHAPES["chain"], "with_replacement").tokens_per_call
            for name in ("block", "rejection")
        )
        assert block >= single - EXACT_ATOL
        gains.append(block - single)
    assert max(gains) > 0.05


@pytest.mark.parametrize("kind", ["deterministic", "with_replacement"])
def test_traversal_is_block_verification_on_a_chain(kind):
    rng = np.random.Generator(np.random.Philox(3))
    verdicts = 0
    for seed in range(6):
        pair = TabularPair(seed)
        for tree, _ in drafted_trees(pair, SHAPES["chain"], kind):
            for _ in range(20):
                noise = uniform_noise(rng, noise_shape(tree))
                one, other = (
                    RULES[name].verify(tree, target_laws(pair, (), tree), noise)
                    for name in ("block", "traversal")
                )
                np.testing.assert_array_equal(one.path, other.path)
                assert one.next_token == other.next_token
                verdicts += 1
    assert verdicts > 100


@pytest.mark.parametrize("shape", thinned(["fork", "binary", "irregular"]))
def test_traversal_emits_more_than_recursive_rejection_on_average(shape):
    """Not a theorem for every pair of laws: the means over 4 fixed pairs, exact for each of them."""

    def mean_tokens(name):
        pairs = [TabularPair(seed, ("unrelated",)) for seed in range(4)]
        texts = [ExactText(RULES[name], pair, SHAPES[shape], "without_replacement") for pair in pairs]
        return np.mean([text.tokens_per_call for text in texts])

    assert mean_tokens("traversal") > mean_tokens("rejection_without_replacement")
