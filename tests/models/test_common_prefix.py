import pytest

from speclight.models.common_prefix import common_prefix_length


@pytest.mark.parametrize(
    ("one", "other", "length"),
    [
        ([], [], 0),
        ([1], [], 0),
        ([1, 2], [1, 2], 2),
        ([1, 2, 3], [1, 2], 2),
        ([2, 1], [1, 1], 0),
        ([1, 2, 3, 4], (1, 9, 3, 4), 1),  # what agrees again later does not count
    ],
)
def test_a_common_prefix_ends_at_the_first_difference(one, other, length):
    assert common_prefix_length(one, other) == common_prefix_length(other, one) == length
