"""Random streams are those that all records were made with: golden numbers from before seeds.py existed."""

from typing import Any, cast

import numpy as np
import pytest

from speclight.decoding.noise_streams import GeneratorNoise, SeededNoise
from speclight.errors import InvalidInput
from speclight.experiments.races.invariance import RandomLaw
from speclight.seeds import child_streams, derived_seed, stream
from speclight.trees.draft_tree import root_only
from speclight.trees.growing_tree import GrowingTree
from speclight.trees.race_noise import RaceField

# What is drawn is the same anywhere; the last bits of a logarithm are the processor's.
LAST_BITS = 1e-14


@pytest.mark.parametrize(
    ("path", "numbers"),
    [
        ((11, 4), [0.3135327605186736, 0.48453950135467694]),
        ((20251218,), [0.1819360536025958, 0.35481144624557714]),
        ((2**63 + 9,), [0.8299988571269942, 0.2780320762074293]),
        ((77, 2, 3, 16), [0.1316039914146604, 0.4653582570529424]),
    ],
)
def test_streams_draw_the_numbers_they_always_drew(path: tuple[int, ...], numbers: list[float]) -> None:
    assert stream(*path).random(2).tolist() == numbers


def test_seeds_of_texts_are_those_they_always_were() -> None:
    assert derived_seed(5, 2, 1) == 16868097848356383376
    assert derived_seed(5, 2) == 4160164373342109173


def test_noise_of_drafts_verdicts_and_races() -> None:
    noise = SeededNoise(7)
    draft = cast(GeneratorNoise, noise.for_draft())
    assert draft.rng.random(2).tolist() == [0.048373749046626946, 0.8224166666374553]
    verdict = cast(Any, noise.for_verification(root_only(3)))
    assert verdict.draws.tolist() == [0.27499624951633417]
    assert cast(GeneratorNoise, SeededNoise(2**40 + 5).for_draft()).rng.random() == 0.2592451100893228
    times = RaceField(3, 1).times(4, 2).tolist()
    assert times == pytest.approx([0.4045987128954992, 1.7943088542704175], rel=LAST_BITS)


def test_numbers_of_the_experiments() -> None:
    (law,) = RandomLaw(3).laws(GrowingTree(0), [0])
    expected = [-3.052457876428669, -1.2889345764105542, -0.3897987946137994]
    assert law.log_probs.tolist() == pytest.approx(expected, rel=LAST_BITS)


def test_children_share_nothing_with_their_parent() -> None:
    streams = [stream(3), *child_streams(3, 2)]
    assert len({generator.random() for generator in streams}) == 3


def test_a_negative_seed_is_refused() -> None:
    for path in ((-1,), (3, -2)):
        with pytest.raises(InvalidInput, match="seeds must be >= 0"):
            stream(*path)
    assert isinstance(stream(0), np.random.Generator)
