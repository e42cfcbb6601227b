"""What several drafters are called beside each other: two heads of one make must stay apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from speclight.drafting.drafter_names import name_and_weights

# Stands for the weights of a head that a drafter brings along.
OWN = "own"


class NamedDrafter(Protocol):
    """A drafter by name, with the weights it was given, as `ComparedDrafter`."""

    @property
    def name(self) -> str:
        """As the command line writes it."""
        ...

    @property
    def weights(self) -> str | None:
        """Folder, file or hub id; None for none, or for its own."""
        ...

    def plan(self) -> dict[str, object]:
        """What identifies it in the plan of a record folder."""
        ...


def distinct_labels(drafters: Sequence[NamedDrafter]) -> tuple[str, ...]:
    """A label for each: its name, or NAME=WEIGHTS where others have the name too.

    WEIGHTS is the last part of their path, OWN where none were given; drafters that share even that are
    numbered.
    """
    names = Counter(drafter.name for drafter in drafters)
    met: Counter[str] = Counter()
    labels: list[str] = []
    for drafter in drafters:
        label = drafter.name
        if names[label] > 1:
            label += f"={OWN if drafter.weights is None else Path(drafter.weights).name}"
        met[label] += 1
        labels.append(label if met[label] == 1 else f"{label}-{met[label]}")
    return tuple(labels)


def labelled_plans(drafters: Sequence[NamedDrafter]) -> list[dict[str, object]]:
    """What identifies each in the plan of a record folder, and its label where that is not its name."""
    return [
        drafter.plan() | ({} if label == drafter.name else {"label": label})
        for drafter, label in zip(drafters, distinct_labels(drafters), strict=True)
    ]


def label_planned(plan: Mapping[str, Any]) -> str:
    """The label that `labelled_plans` noted."""
    return str(plan.get("label", plan["name"]))


def label_given(text: str, labels: Sequence[str]) -> str:
    """Which of the labels NAME or NAME=WEIGHTS means: that of these weights, else the name's."""
    name, weights = name_and_weights(text)
    label = f"{name}={OWN if weights is None else Path(weights).name}"
    return label if label in labels else name
