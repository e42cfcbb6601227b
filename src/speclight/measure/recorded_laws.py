"""The likely part of every token's law, recorded while a batch of texts is sampled."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa

from speclight.arrays import FloatArray, IntArray
from speclight.measure.store import is_recorded, read_table
from speclight.theory.laws.likely_tokens import REACH, LikelyTokens, likely_tokens


class RecordedLaws:
    """Laws of one batch, kept up to REACH nats of surprisal.

    texts: in the batch. end_of_text: ids that end a text.
    """

    def __init__(self, texts: int, end_of_text: tuple[int, ...]) -> None:
        self._end_of_text = end_of_text
        self._kept: list[list[FloatArray]] = [[] for _ in range(texts)]
        self._ends: list[list[float]] = [[] for _ in range(texts)]

    def add(self, rows: IntArray, laws: FloatArray) -> None:
        """The laws [rows, vocab] of the next token of some texts of the batch."""
        found = likely_tokens(laws, self._end_of_text)
        for row, first, kept, end in zip(
            rows.tolist(), found.first, found.kept, found.end_probabilities.tolist(), strict=True
        ):
            self._kept[row].append(found.surprisals[first : first + kept])
            self._ends[row].append(end)

    def table(self) -> pa.Table:
        """One row per token, texts one behind the other. Surprisals as float32: 1e-7 of a probability."""
        contexts = [kept.astype(np.float32) for text in self._kept for kept in text]
        table = pa.table(
            {
                "surprisals_nats": pa.array(contexts, pa.list_(pa.float32())),
                "end_probability": [end for text in self._ends for end in text],
            }
        )
        return table.replace_schema_metadata({"reach_nats": repr(REACH)})


def read_laws(folder: Path, name: str, lengths: list[int]) -> list[LikelyTokens | None]:
    """The recorded laws of a batch's texts, of the given lengths; None for each if none were recorded."""
    if not is_recorded(folder, name):
        return [None] * len(lengths)
    table = read_table(folder, name).combine_chunks()
    kept = table["surprisals_nats"].combine_chunks()
    offsets, values = kept.offsets.to_numpy(), kept.values.to_numpy().astype(np.float64)
    ends = table["end_probability"].to_numpy()
    reach = float((table.schema.metadata or {})[b"reach_nats"])
    places = np.cumsum([0, *lengths])
    return [
        LikelyTokens(
            reach,
            # Rounding to float32 may have raised a surprisal above the reach.
            np.minimum(values[offsets[first] : offsets[end]], reach),
            np.diff(offsets[first : end + 1]),
            ends[first:end],
        )
        for first, end in itertools.pairwise(places)
    ]
