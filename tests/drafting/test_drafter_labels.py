"""Two heads of one make have labels of their own, in records too."""

import pytest

from speclight.drafting.chosen_drafters import ComparedDrafter, compared_drafters
from speclight.drafting.drafter_labels import distinct_labels, label_given, label_planned, labelled_plans
from speclight.errors import InvalidInput
from toys import tiny_target

HEADS = (
    ComparedDrafter("ngram"),
    ComparedDrafter("model", "one/a"),
    ComparedDrafter("model", "b"),
    ComparedDrafter("model", "two/a"),
)


def test_names_stay_where_they_tell_drafters_apart():
    assert distinct_labels(HEADS[:2]) == ("ngram", "model")
    assert labelled_plans(HEADS[:2]) == [HEADS[0].plan(), HEADS[1].plan()]


def test_names_that_several_have_get_their_weights():
    labels = ("ngram", "model=a", "model=b", "model=a-2")
    assert distinct_labels(HEADS) == labels
    assert tuple(map(label_planned, labelled_plans(HEADS))) == labels
    assert distinct_labels([ComparedDrafter("eagle3"), ComparedDrafter("eagle3", "a")])[0] == "eagle3=own"


@pytest.mark.parametrize(
    ("given", "labels", "meant"),
    [
        ("model=one/a", ("model",), "model"),
        ("model=one/a", ("model=a", "model=b"), "model=a"),
        ("eagle3", ("eagle3=own", "eagle3=a"), "eagle3=own"),
        ("ngram", ("ngram",), "ngram"),
    ],
)
def test_what_is_given_finds_its_label(given, labels, meant):
    assert label_given(given, labels) == meant


def test_several_weights_of_a_name_are_chosen_where_that_is_meant():
    chosen = compared_drafters(
        tiny_target(), ("ngram", "model"), ("model=b", "ngram", "model=a"), several=True
    )
    assert [(item.name, item.weights) for item in chosen] == [("ngram", None), ("model", "b"), ("model", "a")]
    for twice in (("model=a", "model=a"), ("ngram", "ngram")):
        with pytest.raises(InvalidInput, match="each once"):
            compared_drafters(tiny_target(), ("ngram", "model"), twice, several=True)
