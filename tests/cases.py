"""Cases of one claim: some in every run, all of them in the slow one."""

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def thinned(cases: Iterable[object], keep: int = 1) -> list[object]:
    """The cases, those after the first `keep` marked slow. A tuple is one value for each argument's name."""
    return [case if place < keep else _slow(case) for place, case in enumerate(cases)]


def _slow(case: object) -> ParameterSet:
    if isinstance(case, ParameterSet):
        return case._replace(marks=(*case.marks, pytest.mark.slow))
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.slow)
