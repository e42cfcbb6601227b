"""The record of call times: every timing as it was taken, and what the machine could do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.latency.level_times import LevelTimes, TimedLevel
from speclight.measure.latency.loop_times import LoopCall, LoopTimes
from speclight.measure.latency.roofline import CallWork, Ceilings
from speclight.measure.machine_load import MachineLoad
from speclight.measure.store import is_recorded, read_table, reading

KIND = "latency"
MACHINE = "machine"


@dataclass(frozen=True, slots=True, eq=False)
class LatencyRecord:
    """How long calls of a target take on one machine.

    curves: one for each batch size, the smallest first. work, ceilings: None where they are not known (read
    from an engine's file, or for a mixture of experts). plan: what was asked for, and of which target.
    load: of the machine around the timing; None where it is not known. drafters: seconds of their calls.
    loops: what calls of decodes take besides, plain decoding first; empty where none were timed.
    cautions: what the seconds hold besides a call, where an engine took them. layers: the target's, and
    those measured, where they are not all: seconds are then on the straight line through two numbers.
    """

    target: str
    curves: tuple[CallTimeCurve, ...]
    work: CallWork | None
    ceilings: Ceilings | None
    load: MachineLoad | None
    plan: dict[str, Any]
    drafters: tuple[LevelTimes, ...] = ()
    cautions: tuple[str, ...] = ()
    layers: int | None = None
    layers_measured: tuple[int, ...] = ()
    loops: tuple[LoopTimes, ...] = ()

    @property
    def curve(self) -> CallTimeCurve:
        """The curve of the smallest batch."""
        return self.curves[0]

    def of_batch(self, batch_size: int) -> CallTimeCurve:
        """The curve of one batch size. Raises InvalidInput for one that was not timed."""
        for curve in self.curves:
            if curve.batch_size == batch_size:
                return curve
        raise InvalidInput(
            f"got batch size {batch_size}, expected one of those timed "
            f"({', '.join(str(curve.batch_size) for curve in self.curves)}); measure that one too",
            argument="batch_sizes",
        )


def round_name(number: int) -> str:
    """The unit of one round."""
    return f"calls-{number:04d}"


def shallow_name(number: int) -> str:
    """The unit of one round of a part of the layers, where the other rounds hold another part."""
    return f"shallow-{number:04d}"


def round_table(
    taken: FloatArray,
    batch_sizes: Sequence[int],
    context_tokens: Sequence[int],
    node_budgets: Sequence[int],
) -> pa.Table:
    """One round, [batch sizes, contexts, sizes] seconds, as a table of one row for each call."""
    places = np.array(list(np.ndindex(taken.shape)))
    return pa.table(
        {
            "batch_size": np.array(batch_sizes)[places[:, 0]],
            "context_tokens": np.array(context_tokens)[places[:, 1]],
            "nodes": np.array(node_budgets)[places[:, 2]],
            "seconds": taken.ravel(),
        }
    )


def drafter_name(number: int) -> str:
    """The unit of one drafter."""
    return f"drafter-{number:02d}"


def drafter_table(drafter: str, context_tokens: int, levels: Sequence[TimedLevel]) -> pa.Table:
    """The calls of one drafter, a row each."""
    about = {"drafter": drafter, "context_tokens": context_tokens}
    return pa.Table.from_pylist([about | asdict(level) for level in levels])


def loop_name(number: int) -> str:
    """The unit of the decodes of plain decoding, 0, or of a drafter, counted from 1."""
    return f"loop-{number:02d}"


def loop_table(calls: Sequence[LoopCall]) -> pa.Table:
    """Calls of decodes, a row each."""
    return pa.Table.from_pylist([asdict(call) for call in calls])


def _loop_times(folder: Path, plan: dict[str, Any], drafters: Sequence[LevelTimes]) -> Iterator[LoopTimes]:
    labels = plan.get("loops")
    if not labels:  # times of an engine's file, or of an earlier version, have no decodes
        return
    for number, (label, levels) in enumerate(zip(labels, (None, *drafters), strict=True)):
        calls = [LoopCall(**row) for row in read_table(folder, loop_name(number)).to_pylist()]
        yield LoopTimes(label, tuple(calls), levels)


def _level_times(folder: Path, number: int) -> LevelTimes:
    rows = read_table(folder, drafter_name(number)).to_pylist()
    names = [field.name for field in fields(TimedLevel)]
    levels = tuple(TimedLevel(**{name: row[name] for name in names}) for row in rows)
    return LevelTimes.of_levels(rows[0]["drafter"], rows[0]["context_tokens"], levels)


def read_latency(folder: Path) -> LatencyRecord:
    """The record of call times in a folder.

    Raises StorageError if there is none, it is damaged, or of another kind.
    """
    with reading(folder, KIND) as plan:
        numbers = range(plan["settings"]["rounds"])
        rounds = [read_table(folder, round_name(number)) for number in numbers]
        layers = plan.get("layers_measured") or ()
        if len(layers) > 1:
            shallow = [read_table(folder, shallow_name(number)) for number in numbers]
            steps = (plan["layers"] - layers[1]) / (layers[1] - layers[0])
            rounds = [_extended(*pair, steps) for pair in zip(shallow, rounds, strict=True)]
        ceilings, load = _machine(folder)
        drafters = tuple(_level_times(folder, number) for number in range(len(plan.get("drafters") or ())))
        return LatencyRecord(
            target=plan["target"],
            curves=_curves(rounds),
            work=None if plan["work"] is None else CallWork(**plan["work"]),
            ceilings=ceilings,
            load=load,
            plan=plan,
            drafters=drafters,
            loops=tuple(_loop_times(folder, plan, drafters)),
            cautions=tuple(plan.get("cautions") or ()),
            layers=plan.get("layers"),
            layers_measured=tuple(layers),
        )


def _extended(shallow: pa.Table, deep: pa.Table, steps: float) -> pa.Table:
    """A round with all layers: as many steps on from `deep` as it is one from `shallow`, call by call.

    No call gets faster by further layers, whatever the noise of the two.
    """
    few, many = shallow["seconds"].to_numpy(), deep["seconds"].to_numpy()
    place = deep.column_names.index("seconds")
    return deep.set_column(place, "seconds", pa.array(many + steps * np.maximum(many - few, 0.0)))


def _curves(rounds: Sequence[pa.Table]) -> tuple[CallTimeCurve, ...]:
    columns = [{name: table[name].to_numpy() for name in table.column_names} for table in rounds]
    first = columns[0]
    curves: list[CallTimeCurve] = []
    for batch_size in np.unique(first["batch_size"]):
        rows = first["batch_size"] == batch_size
        contexts, nodes = np.unique(first["context_tokens"][rows]), np.unique(first["nodes"][rows])
        taken = np.stack([column["seconds"][rows] for column in columns])
        shaped = taken.reshape(len(rounds), len(contexts), len(nodes))
        curves.append(CallTimeCurve.of_rounds(nodes.tolist(), contexts.tolist(), shaped, int(batch_size)))
    return tuple(curves)


def machine_table(ceilings: Ceilings, load: MachineLoad) -> pa.Table:
    """What was measured of the machine, as a table of one row."""
    return pa.Table.from_pylist(
        [
            {
                **asdict(ceilings),
                "load_before": load.before,
                "load_after": load.after,
                "threads": load.threads,
                "cores": load.cores,
            }
        ]
    )


def _machine(folder: Path) -> tuple[Ceilings | None, MachineLoad | None]:
    if not is_recorded(folder, MACHINE):
        return None, None
    (row,) = read_table(folder, MACHINE).to_pylist()
    ceilings = Ceilings(**{field.name: row[field.name] for field in fields(Ceilings)})
    return ceilings, MachineLoad(row["load_before"], row["load_after"], row["threads"], row["cores"])
