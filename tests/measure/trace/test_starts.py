"""Every position is equally likely to be a start, whatever the lengths of texts."""

import numpy as np
import pytest

from cases import thinned
from speclight.errors import InvalidInput
from speclight.measure.profile import Profile, ProfiledText, ProfileSettings
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.trace.starts import traced_positions, window_numbers

SEEDS = 3000


def profile(lengths, family="code"):
    texts = [
        ProfiledText(
            f"p{number}", family, 0, (1, 2), tuple(range(length)), np.zeros(length), None, None, True
        )
        for number, length in enumerate(lengths)
    ]
    return Profile(ProfileSettings(), tuple(texts), {})


@pytest.mark.parametrize(("window", "windows_per_family"), thinned([(4, 4), (1, 9), (16, 3)]))
def test_every_position_is_equally_likely(window, windows_per_family):
    """Counts over seeds: at 5 standard errors each, a false alarm in 1 of some 50,000 runs of this test.

    A law that leaves out the last position of texts, or starts windows at 0 always, misses by over 20.
    """
    lengths = (5, 23, 2, 40)
    counts = [np.zeros(length) for length in lengths]
    expected = 0.0
    for seed in range(SEEDS):
        settings = TraceSettings((4,), window=window, windows_per_family=windows_per_family, seed=seed)
        chosen = traced_positions(profile(lengths), settings, 100)
        for text, starts in chosen:
            assert starts == sorted(set(starts))
            counts[int(text.prompt_id[1:])][starts] += 1
        expected += sum(len(starts) for _, starts in chosen) / sum(lengths)
    share = expected / SEEDS
    error = np.sqrt(SEEDS * share * (1 - share)) if share < 1 else 1e-9
    assert np.abs(np.concatenate(counts) - expected).max() <= 5 * error


def test_windows_are_neighbours_and_each_family_has_its_own():
    both = Profile(ProfileSettings(), (*profile([30] * 3).texts, *profile([30] * 2, "qa").texts), {})
    chosen = traced_positions(both, TraceSettings((4,), window=8, windows_per_family=3), 100)
    numbers = [number for _, starts in chosen for number in window_numbers(starts)]
    assert {text.family for text, _ in chosen} == {"code", "qa"}
    assert max(numbers) <= 2
    assert window_numbers([0, 1, 2, 5, 7, 8]) == [0, 0, 0, 1, 2, 2]


def test_all_windows_of_all_texts_can_be_asked_for():
    chosen = traced_positions(profile([7, 1, 12]), TraceSettings((4,), windows_per_family=99), 100)
    assert [starts for _, starts in chosen] == [list(range(length)) for length in (7, 1, 12)]


def test_starts_leave_room_for_the_largest_tree():
    ((_, starts),) = traced_positions(profile([12]), TraceSettings((4, 8), windows_per_family=99), 16)
    assert starts == list(range(7))  # the seventh call starts after 2 + 6 tokens: 8 nodes fill the window
    with pytest.raises(InvalidInput, match="lower the node budget"):
        traced_positions(profile([12]), TraceSettings((4, 80)), 16)


def test_one_window_in_so_many_and_starts_with_text_ahead():
    """The start law of bounds from texts: P - 1 further tokens, or an end that the length limit allows."""
    texts = profile([128, 40])
    few = TraceSettings((8,), window=1, windows_per_family=999, every=4)
    assert sum(len(starts) for _, starts in traced_positions(texts, few)) == 42  # of 168
    ahead = TraceSettings((8,), window=1, windows_per_family=999, tokens_ahead=True)
    assert [len(starts) for _, starts in traced_positions(texts, ahead)] == [122, 40]
    with pytest.raises(InvalidInput, match="followed by 199 tokens; profile longer texts"):
        traced_positions(texts, TraceSettings((200,), tokens_ahead=True))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"node_budgets": (8, 4)}, "rising"),
        ({"node_budgets": ()}, "rising"),
        ({"node_budgets": (0, 4)}, ">= 1"),
        ({"window": 0}, "window must be >= 1"),
        ({"growths": ()}, "at least one"),
        ({"growths": ("chain", "chain")}, "each once"),
    ],
)
def test_settings_that_cannot_be(fields, message):
    with pytest.raises(InvalidInput, match=message):
        TraceSettings(**fields)
