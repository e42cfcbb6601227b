"""One door for everything that engines write about their speculation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from speclight.engines.completion import SpeculationSteps
from speclight.engines.reports.documents import read_documents
from speclight.engines.reports.logs import read_log
from speclight.engines.reports.prometheus import is_metrics, read_metrics
from speclight.engines.reports.record import SpeculationReport, counts_of_steps
from speclight.errors import InvalidInput

LARGEST_BYTES = 256 * 2**20
OFFLINE = re.compile(
    r"RequestSpecDecodeMetrics\(.*?per_step_accepted=\[([0-9, ]*)\], per_step_drafted=\[([0-9, ]*)\]"
)


def read_report(path: Path, before: Path | None = None) -> list[SpeculationReport]:
    """What a file says of an engine's speculation: metrics, a log, JSON, JSON lines or a golden table (YAML).

    before: an earlier scrape of the same server's metrics. Raises InvalidInput for a file that cannot be
    read, is of no known kind, or contradicts itself.
    """
    text = _text(path)
    if is_metrics(text):
        return read_metrics(text, None if before is None else _text(before))
    if before is not None:
        raise InvalidInput(f"{path.name} holds no metrics, so there is nothing to take {before.name} from")
    if path.suffix in (".yaml", ".yml"):
        return _golden(text, path.name)
    if OFFLINE.search(text):
        return _offline(text)
    documents = _documents(text)
    return read_log(text) if documents is None else read_documents(documents)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise InvalidInput(f"{path.name} has more than {LARGEST_BYTES} bytes; give a part of it")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {path}: {error}; expected a text file") from error


def _documents(text: str) -> list[dict[str, object]] | None:
    """One JSON object, a list of them, or one a line; None if the text is no JSON."""
    try:
        content = json.loads(text)
    except ValueError:
        lines = [line for line in text.split("\n") if line.strip()]
        if not lines or not lines[0].lstrip().startswith("{"):
            return None
        try:
            content = [json.loads(line) for line in lines]
        except ValueError as error:
            raise InvalidInput(f"a line of the file is no JSON ({error}); it may have been cut") from error
    found = content if isinstance(content, list) else [content]
    if not all(isinstance(item, dict) for item in found):
        raise InvalidInput(
            "expected JSON objects, got other values; give the answers as the engine wrote them"
        )
    return found


def _offline(text: str) -> list[SpeculationReport]:
    """VLLM's RequestSpecDecodeMetrics as printed from Python, one a request."""
    accepted: list[int] = []
    drafted: list[int] = []
    found = OFFLINE.findall(text)
    for own_accepted, own_drafted in found:
        accepted += [int(count) for count in own_accepted.split(",") if count.strip()]
        drafted += [int(count) for count in own_drafted.split(",") if count.strip()]
    counts = counts_of_steps(SpeculationSteps(tuple(accepted), tuple(drafted)))
    return [SpeculationReport("vllm", "metrics of requests, offline", f"{len(found)} requests", counts)]


def _golden(text: str, name: str) -> list[SpeculationReport]:
    """Tables of expected acceptance lengths: model -> variant -> K -> tokens per step."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInput(f"{name} is no YAML ({error}); expected model: variant: K: length") from error
    found: list[SpeculationReport] = []
    for model, variants in _mapping(content, name).items():
        for variant, lengths in _mapping(variants, name).items():
            for longest, length in _mapping(lengths, name).items():
                if not isinstance(length, int | float):
                    raise InvalidInput(f"{name} holds {length!r} where a number of tokens is expected")
                label = f"{model}, {variant}, K = {longest}"
                found.append(SpeculationReport("golden", "table", label, stated=float(length)))
    return found


def _mapping(content: object, name: str) -> dict[object, object]:
    if not isinstance(content, dict) or not content:
        raise InvalidInput(f"{name} is no table of acceptance lengths, expected model: variant: K: length")
    return content
