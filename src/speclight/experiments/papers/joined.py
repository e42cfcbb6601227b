"""What `reproduce` wrote, read again, and runs of one target joined as if one run had made them.

Lines, pairs of targets, gaps and verdicts are made anew from the recorded numbers, so that files or
temperatures can be run apart, and verdicts be given again beside targets or times measured later.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from speclight.errors import InvalidInput, StorageError
from speclight.experiments.papers.other_targets import RESULT_NAME
from speclight.experiments.papers.run import NOTHING_BESIDE, Beside, Reproduced, concluded_from


def read_reproduced(folder: Path) -> Reproduced:
    """All that `speclight reproduce` wrote. Raises StorageError if there is nothing, or it is damaged."""
    path = folder / RESULT_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        document.pop("schema")
        return _built(Reproduced, document)
    except OSError as error:
        raise StorageError(
            f"{folder} holds no {RESULT_NAME}, expected a folder of `speclight reproduce`; run it first"
        ) from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise StorageError(
            f"{RESULT_NAME} in {folder.name} is not in the form that this version reads ({error!r}); repeat "
            "the command that made it, which reads its records again"
        ) from error


def joined(parts: Sequence[Reproduced], beside: Beside = NOTHING_BESIDE, seed: int = 0) -> Reproduced:
    """The rows, points and panels of all parts in order, and what follows from all of them together.

    seed: of the interval of R². Raises InvalidInput without parts, for parts of several targets, and where
    two hold the same data set at the same temperature.
    """
    targets = {(part.target, part.parameters) for part in parts}
    if len(targets) != 1:
        raise InvalidInput(f"expected runs of one target, got {len(targets)}: {sorted(targets)}")
    moments = tuple(row for part in parts for row in part.moments)
    cells = [(row.data, row.temperature) for row in moments]
    if repeated := {cell for cell in cells if cells.count(cell) > 1}:
        raise InvalidInput(f"expected each data set and temperature once, got more of {sorted(repeated)}")
    points = tuple(point for part in parts for point in part.points)
    panels = tuple(panel for part in parts for panel in part.panels)
    target, parameters = targets.pop()
    return concluded_from(target, parameters, moments, points, panels, beside, seed)


def _built(kind: Any, value: Any) -> Any:
    """A value of JSON as the type that it was written from."""
    if value is None:
        return None
    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _built(hints[name], item) for name, item in value.items()})  # pyright: ignore[reportCallIssue]
    if origin is tuple:
        return tuple(_built(inner[0], item) for item in value)
    if origin is dict:
        return {key: _built(inner[1], item) for key, item in value.items()}
    if origin in (Union, UnionType):
        return _built(next(each for each in inner if each is not type(None)), value)
    return kind(value)
