"""Which drafters a comparison takes in, and what identifies their weights."""

import pytest

from speclight.drafting.chosen_drafters import (
    ALL_DRAFTERS,
    ComparedDrafter,
    compared_drafters,
    labelled_drafters,
)
from speclight.drafting.drafter_choices import LayerSkip, Model, TwoStage
from speclight.errors import InvalidInput
from speclight.models.default_target import DEFAULT_NAME
from toys import tiny_target


def names(chosen):
    return [drafter.name for drafter in chosen]


def test_without_names_all_that_can_be_made_are_compared():
    target = tiny_target()
    assert names(compared_drafters(target, ALL_DRAFTERS)) == [
        "none",
        "ngram",
        "layer_skip",
        "lookahead",
        "two_stage",
        "oracle",
    ]
    given = ("two_stage", "model=a", "layer_skip", "eagle3=b=c")
    with_weights = compared_drafters(target, ALL_DRAFTERS, given, layers=1)
    assert {drafter.name: (drafter.weights, drafter.layers) for drafter in with_weights} == {
        "model": ("a", None),
        "layer_skip": (None, 1),
        "two_stage": (None, 1),
        "eagle3": ("b=c", None),
    }


def test_the_default_target_has_a_head():
    target = tiny_target()
    target.name = DEFAULT_NAME
    assert "eagle3" in names(compared_drafters(target, ALL_DRAFTERS))
    assert "medusa" not in names(compared_drafters(target, ALL_DRAFTERS))


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("parrot",), "parrot"),
        (("ngram", "ngram"), "each once"),
        (("model=a", "model=b"), "each once"),
        (("model",), "'model' needs weights"),
        (("model=",), "NAME=WEIGHTS"),
        (("ngram=a",), "ngram=a"),
    ],
)
def test_what_cannot_be_compared_is_refused(given, named):
    with pytest.raises(InvalidInput, match=named):
        compared_drafters(tiny_target(), ALL_DRAFTERS, given)


def test_several_weights_and_exits_of_one_kind_have_labels_of_their_own():
    given = ("eagle3=heads/b", "ngram", "eagle3=heads/a", "layer_skip")
    chosen = labelled_drafters(tiny_target(), ALL_DRAFTERS, given, exits=(1, 2))
    assert [drafter.label for drafter in chosen] == [
        "ngram",
        "layer_skip-1",
        "layer_skip-2",
        "eagle3-b",
        "eagle3-a",
    ]
    with pytest.raises(InvalidInput, match="rename a folder"):
        labelled_drafters(tiny_target(), ALL_DRAFTERS, ("eagle3=one/a", "eagle3=two/a"))


def test_a_plan_names_the_bytes_of_the_weights_and_not_where_they_lie(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "a" / "notes.txt").write_text("changes freely")
    plan = ComparedDrafter("model", str(tmp_path / "a")).plan()
    assert str(tmp_path) not in str(plan)
    (tmp_path / "a").rename(tmp_path / "b")
    assert ComparedDrafter("model", str(tmp_path / "b")).plan() == plan
    (tmp_path / "b" / "model.safetensors").write_bytes(b"others")
    assert ComparedDrafter("model", str(tmp_path / "b")).plan() != plan
    assert ComparedDrafter("model", "someone/model").plan()["weights"] == "someone/model"
    assert ComparedDrafter("ngram").plan()["weights"] is None
    assert ComparedDrafter("eagle3").plan()["weights"]


def test_each_is_made_from_a_choice():
    assert ComparedDrafter("layer_skip", layers=2).choice == LayerSkip(2)
    assert ComparedDrafter("two_stage", "a").choice == TwoStage(Model("a"))
