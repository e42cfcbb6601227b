"""report.json: the demo record as JSON, and back."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from math import isfinite, nan
from pathlib import Path
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from speclight.errors import StorageError
from speclight.experiments.demo.record import SCHEMA, DemoRecord
from speclight.writing import write_whole

JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"


def write_json(record: DemoRecord, path: Path) -> Path:
    """Write the record to path, schema 2; a number that is NaN or infinite becomes null. Returns path.

    Raises StorageError if the file cannot be written.
    """
    text = json.dumps(json_value(asdict(record)), allow_nan=False, indent=1)
    return write_whole(path, (text + "\n").encode("ascii"))


def read_json(path: Path) -> DemoRecord:
    """The record written by write_json; null in the place of a number becomes NaN.

    Raises StorageError if the file is missing, no JSON, of another schema, or lacks a field.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(
            f"could not read {path.name} ({error.strerror}); run `speclight demo` first, or name the folder "
            "that holds its report.json"
        ) from error
    except ValueError as error:  # malformed JSON and malformed UTF-8 alike
        raise StorageError(f"{path.name} is not JSON ({error}); write it again") from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise StorageError(
            f"{path.name} has schema {schema!r}, expected {SCHEMA}; measure again with this version"
        )
    return _restored(content, DemoRecord, path.name)


def json_value(value: object) -> JsonValue:
    """Plain lists, dicts, strings and numbers, with null for numbers that JSON cannot carry."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Sequence):
        return [json_value(item) for item in value]
    raise TypeError(f"a record holds plain data only, got {type(value).__name__}")


def _restored(value: object, expected: Any, place: str) -> Any:  # Any: the types are read at run time
    """The value as the type that the record's annotations expect; place names it in error messages."""
    if isinstance(expected, type) and is_dataclass(expected):
        hints = get_type_hints(expected)
        content = _checked(value, dict, place)
        missing = [field.name for field in fields(expected) if field.name not in content]
        if missing:
            raise StorageError(f"{place} lacks {', '.join(missing)}; measure again with this version")
        return expected(**{name: _restored(content[name], hints[name], f"{place}: {name}") for name in hints})
    origin, arguments = get_origin(expected), get_args(expected)
    if origin is tuple:
        return tuple(_restored(item, arguments[0], place) for item in _checked(value, list, place))
    if origin is dict:
        content = _checked(value, dict, place)
        return {key: _restored(item, arguments[1], place) for key, item in content.items()}
    if origin in (Union, types.UnionType):
        return None if value is None else _restored(value, arguments[0], place)
    if origin is Literal:
        if value not in arguments:
            raise StorageError(f"{place} is {value!r}, expected one of {', '.join(arguments)}")
        return value
    if expected is float:
        return nan if value is None else float(_checked(value, (int, float), place))
    return _checked(value, expected, place)


def _checked(value: object, kind: Any, place: str) -> Any:
    if not isinstance(value, kind):
        raise StorageError(f"{place} holds {type(value).__name__} where another type belongs; write it again")
    return value
