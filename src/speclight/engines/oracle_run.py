"""The oracle of an endpoint at many contexts of a profile: the same starts and records as at home."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from speclight.engines.client import EngineClient
from speclight.engines.oracle import EngineOracle, oracle_at
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate, mean_over
from speclight.measure.oracle_run import OracleRecord, OracleSettings, chosen_starts, read_oracle
from speclight.measure.profile import Profile, ProfiledText
from speclight.measure.store import read_table, recording
from speclight.measure.turns import turn_column
from speclight.progress import Progress, silent


@dataclass(frozen=True, slots=True, eq=False)
class EngineOracleRecord:
    """An oracle over an endpoint.

    found: what the endpoint showed of it. hidden: [rows of found] log-probability that no node which the
    endpoint did not show exceeds, nats.
    """

    found: OracleRecord
    hidden: tuple[float, ...]

    def upper(self, family: str, node_budget: int) -> Estimate:
        """Mean of what E[X] can be at most; equal to `found.tokens_per_call` where every search was exact."""
        pairs = [
            (row, hidden)
            for row, hidden in zip(self.found.rows, self.hidden, strict=True)
            if row.family == family
        ]
        values = [
            EngineOracle(row.path_log_probs, hidden, row.depth, row.calls).tokens_per_call(node_budget)[1]
            for row, hidden in pairs
        ]
        return mean_over([row.prompt_id for row, _ in pairs], values)


def run_engine_oracle(
    client: EngineClient,
    profile: Profile,
    settings: OracleSettings,
    top: int,
    folder: Path,
    progress: Progress = silent,
) -> EngineOracleRecord:
    """Search the best tree at starts of a profile whose texts carry token ids, by an endpoint.

    top: likeliest tokens asked for per node. What ended the profile's texts is never a node. One text is the
    unit of work; a killed run goes on with the first one missing. Raises InvalidInput without token ids, and
    what `oracle_at` and RecordFolder raise.
    """
    if any(len(text.token_ids) < len(text.log_probs) or not text.prompt_token_ids for text in profile.texts):
        raise InvalidInput(
            "this profile holds no token ids of prompts and texts, which an oracle search needs; profile an "
            "engine that gives them (vLLM, SGLang, llama.cpp)"
        )
    chosen = chosen_starts(profile, settings)
    end_of_text = sorted({text.token_ids[-1] for text in profile.texts if text.ended})
    plan = {
        "kind": "oracle",
        "target": client.model,
        "engine": {"dialect": client.dialect.name},
        "top": top,
        "end_of_text": end_of_text,
        "settings": asdict(settings),
        "sampling": asdict(profile.settings.sampling),
        "texts": len(chosen),
        "starts": [[*text.key, starts] for text, starts in chosen],
    }
    temperature = profile.settings.sampling.temperature
    with recording(folder, plan) as records:
        for number, (text, starts) in enumerate(chosen):
            if not records.has(_name(number)):
                contexts = [(*text.prompt_token_ids, *text.token_ids[:start]) for start in starts]
                found = oracle_at(client, contexts, settings.node_budget, top, end_of_text, temperature)
                records.write(_name(number), _table(text, starts, found))
            progress(number + 1, len(chosen), f"oracle: best trees of {settings.node_budget} nodes")
    hidden = [
        value
        for number in range(len(chosen))
        for value in read_table(folder, _name(number))["hidden_log_prob"].to_pylist()
    ]
    return EngineOracleRecord(
        read_oracle(folder), tuple(-np.inf if value is None else value for value in hidden)
    )


def _name(number: int) -> str:
    return f"text-{number:04d}"


def _table(text: ProfiledText, starts: list[int], found: list[EngineOracle]) -> pa.Table:
    return pa.table(
        {
            "prompt_id": [text.prompt_id] * len(starts),
            "family": [text.family] * len(starts),
            "sample": pa.array([text.sample] * len(starts), pa.int32()),
            **turn_column([text.turn] * len(starts)),
            "start": pa.array(starts, pa.int32()),
            "path_log_probs": pa.array([one.path_log_probs for one in found], pa.list_(pa.float64())),
            "depth": pa.array([one.depth for one in found], pa.int32()),
            "calls": pa.array([one.requests for one in found], pa.int32()),
            "hidden_log_prob": pa.array(
                [None if np.isneginf(one.hidden_log_prob) else one.hidden_log_prob for one in found],
                pa.float64(),
            ),
        }
    )
