"""A deployment beside limits that are known: a target uniform on two tokens."""

import numpy as np
import pytest

from speclight.advice.served_gap import served_gap
from speclight.engines.reports.record import SpeculationCounts, SpeculationReport
from speclight.errors import InvalidInput
from speclight.theory.laws.sampled_text import SampledText

# Both limits are found by bisection or on a grid.
LIMIT_RTOL = 1e-4
TEXTS = [SampledText(np.full(96, np.log(2.0)), True, f"p{number}") for number in range(8)]


def report(**what) -> SpeculationReport:
    return SpeculationReport("vllm", "metrics", **what)


def test_chains_and_trees_of_as_many_nodes():
    """6 drafts: a chain emits 2 - 2^-6 tokens, one without end 2, the full binary tree of 7 nodes 3."""
    counts = SpeculationCounts(100, 60, 600, (50, 10, 0, 0, 0, 0), generated=200)
    found = served_gap(report(counts=counts), TEXTS)
    assert (found.drafted, found.over_all_steps) == (6, True)
    assert found.emitted == pytest.approx(200 / 140)
    assert found.tree_limit.value == pytest.approx(3.0, rel=LIMIT_RTOL)
    assert 2 - 2**-6 <= found.chains.upper.value < 2.0
    assert "emits 1.43 tokens per step with 6 drafted tokens" in found.sentence
    assert "more than 1.99" in found.sentence
    assert "72% of the chain limit and 48% of the tree limit" in found.sentence


@pytest.mark.parametrize(
    ("what", "drafted"),
    [
        ({"label": "batch 1, steps 3, topk 2, P = 8", "stated": 1.5}, 7),
        ({"label": "model, variant, K = 3", "stated": 1.5}, 3),
        ({"counts": SpeculationCounts(10, 5, 29)}, 3),
    ],
)
def test_k_is_read_off_what_the_report_says(what, drafted):
    found = served_gap(report(**what), TEXTS)
    assert found.drafted == drafted
    assert found.emitted == 1.5
    assert "per step that had a draft" in found.sentence


def test_what_a_report_does_not_say_is_asked_for():
    silent = report(stated=1.5)
    with pytest.raises(InvalidInput, match="K"):
        served_gap(silent, TEXTS)
    assert served_gap(silent, TEXTS, drafted=4).drafted == 4
    with pytest.raises(InvalidInput, match="no tokens per step"):
        served_gap(report(), TEXTS, drafted=4)
