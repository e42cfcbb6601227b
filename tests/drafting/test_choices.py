"""Drafters and trees as small objects: what cannot be chosen, and how the command line writes the rest."""

import pytest

from speclight.drafting.drafter_choices import (
    DRAFTERS,
    Eagle3,
    LayerSkip,
    Lookahead,
    Medusa,
    Model,
    NGram,
    Oracle,
    Plain,
    TwoStage,
)
from speclight.drafting.drafter_names import read_drafter
from speclight.drafting.tree_choices import (
    Batch,
    BestFirst,
    Chain,
    Eagle2,
    Lists,
    RankTree,
    Shape,
    Static,
    Threshold,
)
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.trees.limited_growth import GrowthLimits
from toys import tiny_target

# What is written, with how many layers, and what is made of it.
WRITTEN_DRAFTERS = {
    ("none", None): Plain(),
    ("ngram", None): NGram(),
    ("lookahead", None): Lookahead(),
    ("layer_skip", None): LayerSkip(),
    ("layer_skip", 12): LayerSkip(12),
    ("model=a=b", None): Model("a=b"),
    ("two_stage", 12): TwoStage(LayerSkip(12)),
    ("two_stage=w", None): TwoStage(Model("w")),
    ("eagle3", None): Eagle3(),
    ("eagle3=head", None): Eagle3("head"),
    ("medusa=head", None): Medusa("head"),
    ("oracle", None): Oracle(),
}
WRITTEN_TREES = {
    (None, "deterministic"): BestFirst(),
    (None, "race"): Chain(kind="race"),
    ("best_first", "deterministic"): BestFirst(),
    ("eagle2", "deterministic"): Eagle2(),
    ("eagle2=4,3,2", "deterministic"): Eagle2(GrowthLimits(4, 3, 2)),
    ("threshold=0.02", "deterministic"): Threshold(0.02),
    ("chain", "with_replacement"): Chain(kind="with_replacement"),
    ("batch", "deterministic"): Batch(),
    ("static=0.5,0.2", "without_replacement"): Static((0.5, 0.2), kind="without_replacement"),
    ("rank=0.5,0.2", "race"): RankTree((0.5, 0.2), kind="race"),
    ("lists=3", "gls"): Lists(3),
}


@pytest.mark.parametrize(("text", "layers"), WRITTEN_DRAFTERS)
def test_drafters_as_written(text, layers):
    assert read_drafter(text, layers) == WRITTEN_DRAFTERS[text, layers]


def test_every_drafter_can_be_written():
    assert {choice.name for choice in WRITTEN_DRAFTERS.values()} == {"none", *DRAFTERS}


@pytest.mark.parametrize(
    ("text", "layers", "message"),
    [
        ("nonsense", None, "known: none, model, ngram"),
        ("ngram", 2, "'ngram' has no use for layers"),
        ("none", 2, "'none' has no use for layers"),
        ("two_stage=w", 1, "'two_stage=w' has no use for layers"),
        ("ngram=w", None, "NAME=WEIGHTS"),
        ("eagle3=", None, "NAME=WEIGHTS"),
        ("model", None, "needs weights, got none; give model=FOLDER"),
        ("medusa", None, "needs weights, got none; give medusa=FOLDER"),
    ],
)
def test_drafters_that_cannot_be(text, layers, message):
    with pytest.raises(InvalidInput, match=message):
        read_drafter(text, layers)


@pytest.mark.parametrize(("text", "kind"), WRITTEN_TREES)
def test_trees_as_written(text, kind):
    assert read_tree(text, kind) == WRITTEN_TREES[text, kind]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("bush", "deterministic", "known: best_first, eagle2, eagle2=DEPTH,CHILDREN,PER_LEVEL, threshold"),
        ("chain=3", "deterministic", "'chain=3'; known"),
        ("static", "deterministic", "'static'; known"),
        ("static=a", "deterministic", "'static=a'; known"),
        ("lists=1.5", "gls", "'lists=1.5'; known"),
        ("eagle2", "with_replacement", "expected a fixed shape"),
        ("chain", "gls", "lists for gls alone"),
        ("lists=2", "race", "lists for gls alone"),
        (None, "gls", r"give the tree Lists\(noise_sets\)"),
    ],
)
def test_trees_that_cannot_be(text, kind, message):
    with pytest.raises(InvalidInput, match=message):
        read_tree(text, kind)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chain(kind="guessed"), "expected one of deterministic"),
        (lambda: Chain(kind="gls"), "gls is the kind of Lists alone"),
        (lambda: Shape(()), "at least one token to draft"),
        (lambda: Static(()), "at least one token to draft"),
        (lambda: Static((0.9, 0.2)), "sum"),
        (lambda: RankTree((), kind="race"), "must be a vector"),
        (lambda: Shape(((0, 0),)), "needs its parent"),
        (lambda: Lists(0), "noise_sets must be >= 1"),
        (lambda: Threshold(1.0), "between 0 and 1"),
        (lambda: Model("w", "similar"), "expected same or shared"),
        (lambda: Eagle3(tiny_target()), "a head is no model"),
        (lambda: Medusa(None), "give its folder"),
    ],
)
def test_choices_that_mean_nothing_are_refused_when_made(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()
