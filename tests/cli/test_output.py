import json
import sys
from math import inf, isfinite, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speclight.cli.output import command_output, json_line

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
documents = st.dictionaries(
    st.text(),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4),
)


def without_infinities(value: object) -> object:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: without_infinities(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_infinities(item) for item in value]
    return value


def refuse_constant(name: str) -> object:
    raise AssertionError(f"{name} is no JSON")


@given(documents.filter(lambda document: "schema" not in document))
def test_any_document_becomes_one_line_of_strict_json(document: dict[str, object]) -> None:
    line = json_line(document)
    # Not splitlines(): U+2028 and the like may stand in strings, where programs read up to a line feed.
    assert "\n" not in line
    assert "\r" not in line
    read = json.loads(line, parse_constant=refuse_constant)
    assert read.pop("schema") == 2
    assert read == without_infinities(document)


def test_several_documents_each_carry_the_schema() -> None:
    assert json.loads(json_line([{"budget": 1}, {"budget": 2}])) == [
        {"schema": 2, "budget": 1},
        {"schema": 2, "budget": 2},
    ]


def test_numpy_and_paths_have_a_json_form() -> None:
    document = {
        "count": np.int64(3),
        "rate": np.float32(0.5),
        "missing": np.float64(nan),
        "flag": np.bool_(True),
        "curve": np.array([[1.0, inf], [2.0, 3.0]]),
        "folder": Path("out") / "records",
    }
    assert json.loads(json_line(document)) == {
        "schema": 2,
        "count": 3,
        "rate": 0.5,
        "missing": None,
        "flag": True,
        "curve": [[1.0, None], [2.0, 3.0]],
        "folder": "out/records",
    }


def test_unknown_types_are_refused() -> None:
    with pytest.raises(TypeError, match="complex"):
        json_line({"value": 1j})


def test_json_reserves_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with command_output(as_json=True) as output:
        sys.stdout.write("from a library\n")
        output.show("a table [bold]")
        output.stream("text")
        output.write_json({"value": 1})
    captured = capsys.readouterr()
    assert captured.out == '{"schema": 2, "value": 1}\n'
    assert captured.err == "from a library\na table [bold]\ntext"


def test_people_read_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with command_output(as_json=False) as output:
        output.show("a table")
        output.write_json({"value": 1})
    captured = capsys.readouterr()
    assert captured.out == 'a table\n{"schema": 2, "value": 1}\n'
    assert captured.err == ""
