"""The step law's histogram, summed over contexts while a model is running."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from speclight.arrays import FloatArray
from speclight.measure.store import read_table
from speclight.models.kernel_cache import kept_kernels
from speclight.theory.laws.step_law import FLOOR_GUARD, STORED_RANGE, StepLaw, from_histograms

# 2^-10 nats. Rounding positions down by half a bin raises a bound by the share of a bin in a mean step:
# 0.05% at 1 nat per token. Finer bins only make the records larger.
WIDTH = 2.0**-10
BINS = int(STORED_RANGE / WIDTH)
# Of a positive float64, nats: what is beyond has probability 0.
LARGEST_SURPRISAL = 746.0


@cache
def _add_law() -> Callable[..., tuple[float, float]]:
    """The compiled loop; importing the compiler takes half a second, so it is done where laws are added."""
    with kept_kernels():
        from speclight.measure.step_kernel import add_law
    return add_law


class StepHistogram:
    """Mass and counts per bin of -ln p, and the sums that give mu and mu2 exactly.

    family: whose contexts are summed. end_of_text: token ids that are in the moments but in no bin, because
    they never become tree nodes.
    """

    def __init__(self, family: str, vocabulary_size: int, end_of_text: tuple[int, ...]) -> None:
        self.family = family
        self.vocabulary_size = vocabulary_size
        self._left_out = np.array(end_of_text, dtype=np.int64)
        self._mass = np.zeros(BINS)
        self._counts = np.zeros(BINS)
        self._sums = np.zeros(3)  # contexts, entropy, second log-moment

    def add(self, laws: FloatArray, log_probs: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Add contexts [rows, vocab]; returns each one's entropy (nats) and second log-moment (nats²).

        log_probs: ln of the laws, -inf where they are 0, from a caller who has them.
        """
        if log_probs is None:
            with np.errstate(divide="ignore"):
                log_probs = np.log(laws)
        moments = np.array([self._add_row(*each) for each in zip(laws, log_probs, strict=True)])
        entropies, second_moments = moments.reshape(-1, 2).T
        self._sums += (len(laws), entropies.sum(), second_moments.sum())
        return entropies, second_moments

    def _add_row(self, law: FloatArray, log_probs: FloatArray) -> tuple[float, float]:
        return _add_law()(
            law,
            log_probs,
            self._left_out,
            self._mass,
            self._counts,
            1.0 / WIDTH,
            FLOOR_GUARD,
            LARGEST_SURPRISAL,
        )

    def table(self) -> pa.Table:
        """The occupied bins, with the sums as metadata of the table."""
        occupied = np.flatnonzero(self._counts)
        table = pa.table(
            {
                "bin": pa.array(occupied, pa.int32()),
                "mass": self._mass[occupied],
                "count": self._counts[occupied],
            }
        )
        sums = [repr(float(value)) for value in self._sums]
        metadata = {
            "family": self.family,
            "vocabulary_size": str(self.vocabulary_size),
            "sums": ";".join(sums),
        }
        return table.replace_schema_metadata(metadata)

    def merge(self, table: pa.Table) -> None:
        """Add what another histogram of the same family left in a table."""
        bins = table["bin"].to_numpy()
        self._mass[bins] += table["mass"].to_numpy()
        self._counts[bins] += table["count"].to_numpy()
        self._sums += [float(value) for value in _metadata(table, "sums").split(";")]

    def add_times(self, other: StepHistogram, times: int) -> None:
        """Add another histogram's contexts, each `times` over: for resampling."""
        self._mass += times * other._mass
        self._counts += times * other._counts
        self._sums += times * other._sums

    def step_law(self) -> StepLaw:
        """The family's step law."""
        contexts, entropy, second_moment = self._sums.tolist()
        return from_histograms(
            WIDTH,
            self._mass,
            self._counts,
            surprisal_sum=entropy,
            squared_surprisal_sum=second_moment,
            tokens=int(contexts),
            vocabulary_size=self.vocabulary_size,
        )


def histograms_table(histograms: Sequence[StepHistogram]) -> pa.Table:
    """Histograms of several families in one table, which `read_histograms` takes apart again."""
    tables = [histogram.table() for histogram in histograms]
    families = [histogram.family for histogram in histograms]
    metadata = [
        {key.decode(): value.decode() for key, value in table.schema.metadata.items()} for table in tables
    ]
    joined = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    column = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    names = pa.DictionaryArray.from_arrays(pa.array(column, pa.int32()), families)
    joined = joined.append_column("family", names)
    return joined.replace_schema_metadata({"histograms": json.dumps(metadata)})


def read_histograms(folder: Path, names: list[str]) -> dict[str, StepHistogram]:
    """The histograms in the named units of a record folder, merged by family, in order of appearance."""
    merged: dict[str, StepHistogram] = {}
    for name in names:
        for table in _by_family(read_table(folder, name)):
            family = _metadata(table, "family")
            if family not in merged:
                merged[family] = StepHistogram(family, int(_metadata(table, "vocabulary_size")), ())
            merged[family].merge(table)
    return merged


def _by_family(table: pa.Table) -> Iterator[pa.Table]:
    """The tables that `histograms_table` joined; a table of one family as it is."""
    if b"histograms" not in (table.schema.metadata or {}):
        yield table
        return
    for metadata in json.loads(_metadata(table, "histograms")):
        yield table.filter(pc.field("family") == metadata["family"]).replace_schema_metadata(metadata)


def _metadata(table: pa.Table, key: str) -> str:
    return (table.schema.metadata or {})[key.encode()].decode()
