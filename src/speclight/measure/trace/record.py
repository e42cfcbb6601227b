"""A trace as it lies in a folder: two tables for each text, one row a start, and one a start and drafter.

Free of torch and Transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from speclight.arrays import FloatArray, IntArray
from speclight.drafting.drafter_labels import label_planned
from speclight.errors import StorageError
from speclight.measure.estimates import Estimate, mean_over, within
from speclight.measure.profile import TEXTS as TEXTS
from speclight.measure.profile import TRACE_KIND as KIND
from speclight.measure.profile import Profile, read_profile
from speclight.measure.store import RecordFolder, read_plan, read_table, reading
from speclight.measure.text_keys import turn_column
from speclight.measure.trace.settings import CHAIN, TraceSettings
from speclight.measure.trace.traced import GrowthCost, SampledValue, TracedDrafter, TracedStart, TracedTree
from speclight.models.sampling_settings import SamplingSettings
from speclight.theory.laws.law_pairs import LawPair

# Of tables and plan; readers know this one and older ones.
SCHEMA = 2
# Part of a unit: the law of -ln q of each drafter over the text's starts, where it was asked for.
DRAFTER_LAWS = "drafter-laws"
# Kinds of records that are traces now, and the commands that make them.
EARLIER_KINDS = {"oracle": "oracle", "drafter profile": "drafter-profile"}
LAW_COLUMNS = LawPair.__slots__


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A whole trace. drafters: names, in the order of the run. profile: of the texts, their laws included.

    target, weights_sha256: of the model that was traced.
    """

    target: str
    weights_sha256: str | None
    sampling: SamplingSettings
    settings: TraceSettings
    drafters: tuple[str, ...]
    starts: tuple[TracedStart, ...]
    profile: Profile

    @property
    def families(self) -> tuple[str, ...]:
        """Families in order of appearance."""
        return tuple(dict.fromkeys(start.family for start in self.starts))

    @property
    def growths(self) -> tuple[str, ...]:
        """The draft trees grown for every drafter, as the command line writes them."""
        return self.settings.growths

    @property
    def node_budgets(self) -> tuple[int, ...]:
        """Of the trees grown, rising; chains end at settings.lookahead tokens."""
        return self.settings.node_budgets

    def of_family(self, family: str) -> tuple[TracedStart, ...]:
        """The starts of one family."""
        return tuple(start for start in self.starts if start.family == family)

    def limit_tokens_per_call(self, family: str | None, node_budget: int) -> Estimate:
        """Mean of the best possible E[X] over the family's starts, or all starts, clustered by prompt.

        The interval is cut to 1..node_budget, where E[X] must lie; with few prompts it can reach beyond.
        """
        starts = self.starts if family is None else self.of_family(family)
        values = [start.best_tokens(node_budget) for start in starts]
        return within(mean_over([start.prompt_id for start in starts], values), 1.0, float(node_budget))


def read_trace(folder: Path) -> Trace:
    """The trace that `run_trace` left in a folder.

    Raises StorageError if it is not finished, damaged, of another kind, or of a later version.
    """
    earlier = EARLIER_KINDS.get(read_plan(folder)["kind"])
    if earlier is not None:
        raise StorageError(
            f"{folder.name} holds the records of an earlier version's `speclight {earlier}`, which records a "
            "trace now; repeat that command into another folder"
        )
    with reading(folder, KIND) as plan:
        if plan["schema"] > SCHEMA:
            raise StorageError(
                f"the trace in {folder.name} has schema {plan['schema']}, expected {SCHEMA} or less: a later "
                "version of speclight made it; read it with that one, or trace again"
            )
        lists = {name: tuple(plan["settings"][name]) for name in ("node_budgets", "growths", "sampled")}
        settings = TraceSettings(**{**plan["settings"], **lists})
        drafters = tuple(map(label_planned, plan["drafters"]))
        starts = [
            start
            for number in range(len(plan["texts"]))
            for start in _read_starts(folder, text_unit(number), settings, drafters)
        ]
        return Trace(
            plan["target"],
            plan["weights_sha256"],
            SamplingSettings(**plan["sampling"]),
            settings,
            drafters,
            tuple(starts),
            read_profile(folder / TEXTS),
        )


def text_unit(number: int) -> str:
    """The name of a text's unit."""
    return f"text-{number:04d}"


def write_starts(records: RecordFolder, unit: str, starts: Sequence[TracedStart]) -> None:
    """Write one text; the table of starts comes last, because its presence says that the text is finished."""
    drafters = [drafter for start in starts for drafter in start.drafters.values()]
    if drafters:
        records.write(f"{unit}-drafters", _drafters_table(starts, drafters))
    records.write(unit, _starts_table(starts))


def bytes_per_start(folder: Path, trace: Trace) -> float:
    """Mean size of the two tables on disk, per start."""
    size = sum(file.stat().st_size for file in folder.glob("text-*.parquet"))
    return size / len(trace.starts)


def _starts_table(starts: Sequence[TracedStart]) -> pa.Table:
    return pa.table(
        {
            "prompt_id": [start.prompt_id for start in starts],
            "family": [start.family for start in starts],
            "sample": pa.array([start.sample for start in starts], pa.int32()),
            **turn_column([start.turn for start in starts]),
            "start": pa.array([start.start for start in starts], pa.int32()),
            "window": pa.array([start.window for start in starts], pa.int32()),
            "following": _lists([start.following for start in starts], pa.int32()),
            "best_nats": _lists([start.best for start in starts], pa.float64()),
            "best_depths": _lists([start.best_depths for start in starts], pa.int32()),
            "search_calls": pa.array([start.search_calls for start in starts], pa.int32()),
            **_hidden_column([start.hidden for start in starts]),
        }
    )


def _hidden_column(hidden: Sequence[float]) -> dict[str, pa.Array]:
    """What a server did not show; left out where nothing is hidden."""
    return {} if np.isneginf(hidden).all() else {"hidden_nats": pa.array(hidden, pa.float64())}


def _drafters_table(starts: Sequence[TracedStart], drafters: Sequence[TracedDrafter]) -> pa.Table:
    trees = [drafter.tree for drafter in drafters]
    names = [name for start in starts for name in start.drafters]
    return pa.table(
        {
            "start": pa.array([start.start for start in starts for _ in start.drafters], pa.int32()),
            "drafter": pa.array(names).dictionary_encode(),
            "tokens": _lists([tree.tokens for tree in trees], pa.int32()),
            "parents": _lists([tree.parents for tree in trees], pa.int32()),
            "ranks": _lists([tree.ranks for tree in trees], pa.int32()),
            "drafter_nats": _lists([tree.drafter_log_probs for tree in trees], pa.float64()),
            "target_nats": _lists([tree.target_log_probs for tree in trees], pa.float64()),
            "calls": _lists([[cost.calls for cost in each.costs] for each in drafters], pa.int32()),
            "expanded_nodes": _lists(
                [[cost.expanded_nodes for cost in each.costs] for each in drafters], pa.int16()
            ),
            "coupling": _lists([each.coupling for each in drafters], pa.float64()),
            "sampled_tokens": _lists(
                [[value.expected_tokens for value in each.sampled] for each in drafters], pa.float64()
            ),
            **_law_columns(drafters),
        }
    )


def _law_columns(drafters: Sequence[TracedDrafter]) -> dict[str, pa.Array]:
    """What is recorded of drafters' laws; left out where it was not asked for."""
    ahead = [each.ahead for each in drafters if each.ahead is not None]
    laws = [each.laws for each in drafters if each.laws is not None]
    if not laws:
        return {}
    moments = {name: pa.array([getattr(pair, name) for pair in laws]) for name in LAW_COLUMNS}
    return {"ahead_nats": _lists(ahead, pa.float64()), **moments}


def _lists(rows: Sequence[Any], type_: pa.DataType) -> pa.Array:
    """One list a row, of numbers."""
    offsets = np.cumsum([0, *map(len, rows)])
    values = np.concatenate([np.asarray(row) for row in rows])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values).cast(type_))


def _read_starts(
    folder: Path, unit: str, settings: TraceSettings, drafters: Sequence[str]
) -> Iterator[TracedStart]:
    table = read_table(folder, unit)
    of_drafters = _read_drafters(folder, unit, settings, drafters) if drafters else [{}] * len(table)
    texts = table.select(["prompt_id", "family", "sample", "start", "window"]).to_pylist()
    turns, calls, hidden = (
        _or_default(table, name, default)
        for name, default in (("turn", 1), ("search_calls", None), ("hidden_nats", -np.inf))
    )
    columns = [_rows(table, name) for name in ("following", "best_nats", "best_depths")]
    rows = zip(texts, turns, calls, hidden, *columns, of_drafters, strict=True)
    for text, turn, search_calls, unshown, following, best, depths, drafted in rows:
        yield TracedStart(
            **text,
            turn=turn,
            following=tuple(following.tolist()),
            best=best,
            best_depths=depths.astype(np.int64),
            drafters=drafted,
            search_calls=search_calls,
            hidden=unshown,
        )


def _or_default(table: pa.Table, name: str, default: object) -> list[Any]:
    """A column that some tables leave out."""
    return table.column(name).to_pylist() if name in table.column_names else [default] * len(table)


def _read_drafters(
    folder: Path, unit: str, settings: TraceSettings, drafters: Sequence[str]
) -> list[dict[str, TracedDrafter]]:
    """By start, in the table's order, which is that of the starts."""
    table = read_table(folder, f"{unit}-drafters")
    rows = [
        TracedDrafter(*each)
        for each in zip(
            _read_trees(table),
            _read_costs(table, settings),
            _rows(table, "coupling"),
            _read_sampled(table, settings),
            *_read_laws(table),
            strict=True,
        )
    ]
    count = len(drafters)
    return [
        dict(zip(drafters, rows[first : first + count], strict=True)) for first in range(0, len(rows), count)
    ]


def _read_trees(table: pa.Table) -> list[TracedTree]:
    integers = [
        [row.astype(np.int64) for row in _rows(table, name)] for name in ("tokens", "parents", "ranks")
    ]
    nats = [_rows(table, name) for name in ("drafter_nats", "target_nats")]
    return [
        TracedTree(tokens, parents, _depths(parents), ranks, of_drafter, of_target)
        for tokens, parents, ranks, of_drafter, of_target in zip(*integers, *nats, strict=True)
    ]


def _read_costs(table: pa.Table, settings: TraceSettings) -> list[tuple[GrowthCost, ...]]:
    return [
        tuple(
            GrowthCost(*each, *cost)
            for each, *cost in zip(settings.trees, calls.tolist(), expanded.tolist(), strict=True)
        )
        for calls, expanded in zip(_rows(table, "calls"), _rows(table, "expanded_nodes"), strict=True)
    ]


def _read_sampled(table: pa.Table, settings: TraceSettings) -> list[tuple[SampledValue, ...]]:
    drafts = [each.partition(":") for each in settings.sampled]
    known = [
        (drafts[draft][0], drafts[draft][2] or CHAIN, budget, noise)
        for draft, budget, noise in settings.sampled_trees
    ]
    return [
        tuple(SampledValue(*each, tokens) for each, tokens in zip(known, expected.tolist(), strict=True))
        for expected in _rows(table, "sampled_tokens")
    ]


def _read_laws(table: pa.Table) -> tuple[Sequence[FloatArray | None], Sequence[LawPair | None]]:
    """Log-probabilities ahead and the pairs of laws; None in all rows where they were not asked for."""
    if "ahead_nats" not in table.column_names:
        return [None] * len(table), [None] * len(table)
    pairs = [LawPair(**row) for row in table.select(LAW_COLUMNS).to_pylist()]
    return _rows(table, "ahead_nats"), pairs


def _rows(table: pa.Table, name: str) -> list[npt.NDArray[Any]]:
    """The rows of a column of lists."""
    column = table.column(name).combine_chunks()
    return np.split(column.flatten().to_numpy(), column.offsets.to_numpy()[1:-1])


def _depths(parents: IntArray) -> IntArray:
    depths = np.zeros(len(parents), dtype=np.int64)
    for node, parent in enumerate(parents.tolist()[1:], start=1):
        depths[node] = depths[parent] + 1
    return depths
