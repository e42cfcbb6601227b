"""What can be known at a start without logits, and which starts a text offers."""

import numpy as np
import pytest

from speclight.errors import InvalidInput
from speclight.theory.ergodic.strata import Strata, quantile_strata
from speclight.theory.laws.sampled_text import SampledText, recent_surprisal_mean
from speclight.theory.laws.start_law import usable_starts


def test_recent_surprisals_look_back_only():
    feature = recent_surprisal_mean(np.array([1.0, 2.0, 6.0, 10.0]), 2)
    assert feature.tolist() == [0.0, 1.0, 1.5, 4.0]
    with pytest.raises(InvalidInput, match="window"):
        recent_surprisal_mean(np.ones(3), 0)


@pytest.mark.parametrize(
    ("tokens", "ended", "limit", "node_budget", "usable"),
    [
        (10, False, None, 1, 10),
        (10, False, None, 4, 8),  # start 7 still has 3 further tokens
        (10, False, None, 11, 1),
        (10, False, None, 12, 0),
        (10, True, None, 12, 10),
        (10, True, 20, 4, 10),
        (10, True, 10, 4, 8),
        (10, True, 12, 4, 10),
        (10, True, 12, 5, 9),
    ],
)
def test_usable_starts_do_not_depend_on_how_the_text_went_on(tokens, ended, limit, node_budget, usable):
    text = SampledText(np.ones(tokens), ended, "0", length_limit=limit)
    assert usable_starts(text, node_budget) == usable


def test_strata_are_half_open_intervals():
    strata = Strata(np.array([1.0, 2.0]))
    assert len(strata) == 3
    assert strata.of(np.array([0.5, 1.0, 1.9, 2.0, 9.0])).tolist() == [0, 1, 1, 2, 2]


def test_quantile_strata_share_positions_equally_and_merge_equal_edges():
    text = SampledText(np.ones(8), False, "0", np.arange(8.0))
    strata = quantile_strata([text], 4)
    assert np.bincount(strata.of(np.arange(8.0))).tolist() == [2, 2, 2, 2]
    tied = SampledText(np.ones(8), False, "0", np.array([0.0, 0, 0, 0, 0, 0, 1, 1]))
    assert len(quantile_strata([tied], 4)) == 2
    with pytest.raises(InvalidInput, match="at least 1"):
        quantile_strata([text], 0)
