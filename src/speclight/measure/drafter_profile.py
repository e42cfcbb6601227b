"""What a drafter did along the target's own text: both laws at each start, and how far its tree would hold.

Free of torch and Transformers; `run_drafter_profile` makes the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.measure.drafter_profile_settings import DrafterProfileSettings as DrafterProfileSettings
from speclight.measure.step_histogram import StepHistogram
from speclight.measure.store import read_table, reading
from speclight.models.sampling_settings import SamplingSettings
from speclight.theory.laws.law_pairs import LawPair

KIND = "drafter profile"


@dataclass(frozen=True, slots=True, eq=False)
class DraftedStart:
    """One start. start: index of the first token the call would emit. pair: the two laws there.

    places: [nodes followed] places, from the root on, of the nodes that the text followed, in the order of
    falling drafter probability (root 0): a tree of P nodes holds those below P. ahead, target_ahead: [depths
    or as far as the text goes] log-probabilities of the text's next tokens, nats, under the drafter where all
    of them are one draft (-inf: cannot be drafted) and under the target.
    """

    prompt_id: str
    family: str
    start: int
    pair: LawPair
    places: IntArray
    ahead: FloatArray
    target_ahead: FloatArray

    def tokens_emitted(self, node_budget: int) -> int:
        """X of the call with the drafter's best-first tree of `node_budget` nodes."""
        return 1 + int((self.places < node_budget).sum())


@dataclass(frozen=True, slots=True, eq=False)
class DrafterProfile:
    """All starts, and the drafter's own histogram of -ln q over the contexts of each prompt."""

    drafter: str
    target: str
    settings: DrafterProfileSettings
    sampling: SamplingSettings
    starts: tuple[DraftedStart, ...]
    histograms: dict[str, StepHistogram]

    @property
    def families(self) -> tuple[str, ...]:
        """Families in order of appearance."""
        return tuple(dict.fromkeys(start.family for start in self.starts))

    def of_family(self, family: str) -> DrafterProfile:
        """The starts of one family."""
        starts = tuple(start for start in self.starts if start.family == family)
        own = {start.prompt_id: self.histograms[start.prompt_id] for start in starts}
        return DrafterProfile(self.drafter, self.target, self.settings, self.sampling, starts, own)


def read_drafter_profile(folder: Path) -> DrafterProfile:
    """The record that `run_drafter_profile` left. Raises StorageError if it is not finished."""
    with reading(folder, KIND) as plan:
        starts: list[DraftedStart] = []
        histograms: dict[str, StepHistogram] = {}
        for number, (prompt_id, *_) in enumerate(plan["texts"]):
            rows = read_table(folder, f"text-{number:04d}").to_pylist()
            starts += [_read_start(row) for row in rows]
            table = read_table(folder, f"text-{number:04d}-step-law")
            if prompt_id not in histograms:
                size = int((table.schema.metadata or {})[b"vocabulary_size"])
                histograms[prompt_id] = StepHistogram(rows[0]["family"], size, ())
            histograms[prompt_id].merge(table)
        return DrafterProfile(
            plan["drafter"],
            plan["target"],
            DrafterProfileSettings(**plan["settings"]),
            SamplingSettings(**plan["sampling"]),
            tuple(starts),
            histograms,
        )


def _read_start(row: dict[str, Any]) -> DraftedStart:
    pair = LawPair(**{name: row[name] for name in LawPair.__slots__})
    places = np.array(row["places"], dtype=np.int64)
    ahead, target_ahead = (np.array(row[name], dtype=np.float64) for name in ("ahead", "target_ahead"))
    return DraftedStart(row["prompt_id"], row["family"], row["start"], pair, places, ahead, target_ahead)
