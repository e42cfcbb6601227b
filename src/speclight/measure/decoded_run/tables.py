"""A decoded run on disk: for each prompt tables of its texts, calls and rounds, and that of its starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from speclight.arrays import FloatArray
from speclight.decoding.call_trace import PhaseSeconds
from speclight.measure.decoded_run.record import (
    CallStart,
    DecodedRun,
    DecodedText,
    RecordedCall,
    RoundTotals,
)
from speclight.measure.decoded_run.settings import DecodedRunSettings
from speclight.measure.store import read_table, reading
from speclight.models.sampling_settings import SamplingSettings

KIND = "decoded run"
# Of a prompt that was decoded; "rounds" is written last.
DECODED_PARTS = ("texts", "calls", "rounds")
STARTS = "starts"
NUMBERS = pa.list_(pa.float64())
TOKENS = pa.list_(pa.int32())
SECONDS = ("draft", "target", "verify", "commit")


def unit_name(prompt: int, part: str) -> str:
    """The name of one unit of a prompt, counted from 0."""
    return f"prompt-{prompt:04d}-{part}"


def texts_table(texts: Sequence[DecodedText]) -> pa.Table:
    """One row a turn."""
    return pa.table(
        {
            "prompt_id": [text.prompt_id for text in texts],
            "family": [text.family for text in texts],
            "turn": pa.array([text.turn for text in texts], pa.int32()),
            "prompt_token_ids": pa.array([text.prompt_token_ids for text in texts], TOKENS),
            "token_ids": pa.array([text.token_ids for text in texts], TOKENS),
            "log_probs": pa.array([text.log_probs for text in texts], NUMBERS),
            "ended": [text.ended for text in texts],
        }
    )


def calls_table(texts: Sequence[DecodedText]) -> pa.Table:
    """One row a call of the first round, with its tree."""
    calls = [(text.turn, call) for text in texts for call in text.calls]
    own = [call for _, call in calls]
    return pa.table(
        {
            "turn": pa.array([turn for turn, _ in calls], pa.int32()),
            "start": pa.array([call.start for call in own], pa.int32()),
            "tokens": pa.array([call.tokens for call in own], TOKENS),
            "parents": pa.array([call.parents for call in own], TOKENS),
            "drafter_log_probs": pa.array([call.drafter_log_probs for call in own], NUMBERS),
            "target_log_probs": pa.array([call.target_log_probs for call in own], NUMBERS),
            "accepted": pa.array([call.accepted for call in own], pa.int32()),
            "emitted": pa.array([call.emitted for call in own], pa.int32()),
            "tokens_by_rule": pa.array([call.tokens_by_rule for call in own], pa.float64()),
            **_seconds_columns([call.seconds for call in own]),
        }
    )


def rounds_table(texts: Sequence[DecodedText]) -> pa.Table:
    """One row a round of drafted and of plain decoding of each turn."""
    rows = [
        (text.turn, decoder, totals)
        for text in texts
        for decoder, rounds in (("drafted", text.drafted), ("plain", text.plain))
        for totals in rounds
    ]
    return pa.table(
        {
            "turn": pa.array([turn for turn, _, _ in rows], pa.int32()),
            "decoder": [decoder for _, decoder, _ in rows],
            "calls": pa.array([totals.calls for _, _, totals in rows], pa.int32()),
            "accepted": pa.array([totals.accepted for _, _, totals in rows], pa.int32()),
            "emitted": pa.array([totals.emitted for _, _, totals in rows], pa.int32()),
            **_seconds_columns([totals.seconds for _, _, totals in rows]),
        }
    )


def starts_table(texts: Sequence[DecodedText]) -> pa.Table:
    """One row a start, in the order of the calls."""
    starts = [(text.turn, start) for text in texts for start in text.starts]
    return pa.table(
        {
            "turn": pa.array([turn for turn, _ in starts], pa.int32()),
            "best": pa.array([start.best for _, start in starts], NUMBERS),
            "likeliest": pa.array([start.likeliest for _, start in starts], NUMBERS),
        }
    )


def read_decoded(folder: Path, prompt: int) -> list[DecodedText]:
    """The texts of one prompt, their starts left out."""
    rows, calls, rounds = (read_table(folder, unit_name(prompt, part)).to_pylist() for part in DECODED_PARTS)
    return [
        DecodedText(
            prompt_id=row["prompt_id"],
            family=row["family"],
            turn=row["turn"],
            prompt_token_ids=tuple(row["prompt_token_ids"]),
            token_ids=tuple(row["token_ids"]),
            log_probs=np.array(row["log_probs"]),
            ended=row["ended"],
            calls=tuple(_call(call) for call in calls if call["turn"] == row["turn"]),
            starts=(),
            drafted=_rounds(rounds, row["turn"], "drafted"),
            plain=_rounds(rounds, row["turn"], "plain"),
        )
        for row in rows
    ]


def read_starts(folder: Path, prompt: int, turn: int) -> tuple[CallStart, ...]:
    """The starts of one text."""
    rows = read_table(folder, unit_name(prompt, STARTS)).to_pylist()
    return tuple(
        CallStart(_floats(row["best"]), _floats(row["likeliest"])) for row in rows if row["turn"] == turn
    )


def read_decoded_run(folder: Path) -> DecodedRun:
    """The run that `run_decoded` left in a folder. Raises StorageError if it is not finished."""
    with reading(folder, KIND) as plan:
        given = dict(plan["settings"])
        settings = DecodedRunSettings(**{**given, "sampling": SamplingSettings(**given["sampling"])})
        texts = [
            replace(text, starts=read_starts(folder, number, text.turn))
            for number in range(len(plan["prompts"]))
            for text in read_decoded(folder, number)
        ]
        return DecodedRun(
            plan["target"], plan["drafter"]["name"], plan["tree"], plan["rule"], settings, tuple(texts)
        )


def _seconds_columns(seconds: Sequence[PhaseSeconds]) -> dict[str, list[float]]:
    return {f"{phase}_seconds": [getattr(each, phase) for each in seconds] for phase in SECONDS}


def _seconds(row: Mapping[str, Any]) -> PhaseSeconds:
    return PhaseSeconds(*(row[f"{phase}_seconds"] for phase in SECONDS))


def _call(row: Mapping[str, Any]) -> RecordedCall:
    return RecordedCall(
        row["start"],
        np.array(row["tokens"], dtype=np.int64),
        np.array(row["parents"], dtype=np.int64),
        _floats(row["drafter_log_probs"]),
        _floats(row["target_log_probs"]),
        row["accepted"],
        row["emitted"],
        row["tokens_by_rule"],
        _seconds(row),
    )


def _rounds(rows: Sequence[Mapping[str, Any]], turn: int, decoder: str) -> tuple[RoundTotals, ...]:
    return tuple(
        RoundTotals(row["calls"], row["accepted"], row["emitted"], _seconds(row))
        for row in rows
        if (row["turn"], row["decoder"]) == (turn, decoder)
    )


def _floats(values: Sequence[float]) -> FloatArray:
    return np.array(values, dtype=np.float64)
