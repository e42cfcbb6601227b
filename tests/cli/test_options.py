import pytest

from speclight.cli.options import TargetOptions, load_target
from speclight.errors import InvalidInput, ModelNotFound


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_must_be_positive(threads: int) -> None:
    with pytest.raises(InvalidInput, match=f"at least 1, got {threads}; omit it"):
        load_target(TargetOptions(threads=threads))


def test_names_are_handed_to_the_loader() -> None:
    with pytest.raises(InvalidInput, match="float8"):
        load_target(TargetOptions(dtype="float8"))
    with pytest.raises(InvalidInput, match="abacus"):
        load_target(TargetOptions(device="abacus"))
    with pytest.raises((ModelNotFound, InvalidInput), match="no such folder"):
        load_target(TargetOptions(target="no such folder"))
