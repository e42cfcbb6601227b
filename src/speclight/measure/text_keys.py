"""What names a text in plans and tables: its prompt, its sample, and its turn where that is a later one."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def text_key(prompt_id: str, sample: int, turn: int) -> tuple[str | int, ...]:
    """What names a text in plans: prompt and sample, and the turn where it is a later one."""
    return (prompt_id, sample, *([turn] if turn > 1 else []))


def turn_column(turns: Sequence[int]) -> dict[str, pa.Array]:
    """The column "turn" of a table whose rows are these turns, from 1; left out where all are first ones."""
    return {"turn": pa.array(turns, pa.int32())} if any(turn > 1 for turn in turns) else {}
