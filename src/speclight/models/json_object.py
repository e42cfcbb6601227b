"""A JSON file that holds one object, such as config.json."""

from __future__ import annotations

import json
from pathlib import Path

from speclight.errors import CorruptWeights


def read_json_object(path: Path) -> dict[str, object]:
    """The object of a file. Raises CorruptWeights for a file that cannot be read or holds anything else."""
    place = f"{path.name} of {path.absolute().parent.name}"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CorruptWeights(f"{place} is no JSON ({error}); repair it") from error
    if not isinstance(document, dict):
        raise CorruptWeights(f"{place} holds no object, expected one; repair it")
    return document
