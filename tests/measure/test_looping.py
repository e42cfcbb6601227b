"""Which tokens count as repeating a cycle."""

from speclight.measure.looping import looping_tokens


def test_nothing_repeats():
    assert looping_tokens(list(range(100))) == 0


def test_a_cycle_counts_from_its_second_round():
    cycle = list(range(20))
    assert looping_tokens(cycle * 3) == 20 + 1  # the end of round two, then all of round three


def test_a_short_cycle_must_last():
    assert looping_tokens([7] * 8) == 0  # seven equal their predecessor: one short of a run
    assert looping_tokens([7] * 10) == 2


def test_a_broken_cycle_starts_again():
    cycle = list(range(12))
    assert looping_tokens([*cycle, *cycle[:-1], 99, *cycle]) == 0
