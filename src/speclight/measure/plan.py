"""The plan of a record folder: everything that its records depend on, as plain JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from speclight.errors import StorageError

if TYPE_CHECKING:
    from speclight.models.causal_lm import CausalLM

PLAN_NAME = "plan.json"
# Of the settings in which two plans differ: how many a message shows, and how many characters of a value.
DIFFERENCES_SHOWN = 4
VALUE_WIDTH = 60


def run_plan(kind: str, target: CausalLM, **settings: object) -> dict[str, object]:
    """The plan of a run. kind: of records, which readers check. settings: what else their bytes depend on.

    Weights that are streamed in at every call are named; plans of others say nothing of it.
    """
    offload = target.loaded.offload
    streamed = {} if offload is None else {"offload": offload}
    return {
        "kind": kind,
        "target": target.name,
        "weights_sha256": target.loaded.weights_sha256,
        "kernels": target.kernels,
        **streamed,
        **settings,
    }


def plan_text(plan: Mapping[str, object]) -> bytes:
    """The content of plan.json; equal plans give equal bytes."""
    return (json.dumps(plan, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse_plan(content: bytes) -> dict[str, Any]:
    """The plan that plan.json holds. Raises StorageError unless it is a JSON object with a kind."""
    try:
        plan = json.loads(content)
    except ValueError as error:  # malformed JSON and malformed UTF-8 alike
        raise StorageError(f"{PLAN_NAME} is damaged ({error})") from error
    if not isinstance(plan, dict) or not isinstance(plan.get("kind"), str):
        raise StorageError(f"{PLAN_NAME} is damaged (expected an object with a kind, got {_shown(plan)})")
    return plan


def plan_differences(present: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    """One phrase for each setting that differs, with both values; empty for equal plans."""
    there, here = dict(_leaves("", present)), dict(_leaves("", json.loads(plan_text(wanted))))
    names = [name for name in sorted({*there, *here}) if there.get(name, ...) != here.get(name, ...)]
    shown = [f"{name}: {_value(there, name)} there, {_value(here, name)} asked for" for name in names]
    more = len(shown) - DIFFERENCES_SHOWN
    return [*islice(shown, DIFFERENCES_SHOWN), *([f"and {more} more"] if more > 0 else [])]


def _leaves(name: str, value: object) -> list[tuple[str, object]]:
    """The settings below a nested one, named as in Python: settings.sampling.top_k, prompts[3].family."""
    if isinstance(value, Mapping) and value:
        below = [(f"{name}.{key}" if name else str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and value:
        below = [(f"{name}[{place}]", item) for place, item in enumerate(value)]
    else:
        return [(name, value)]
    return [leaf for inner, item in below for leaf in _leaves(inner, item)]


def _value(leaves: Mapping[str, object], name: str) -> str:
    return _shown(leaves[name]) if name in leaves else "nothing"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_WIDTH else f"{text[: VALUE_WIDTH - 3]}..."
