"""The oracle of an endpoint at many contexts of a profile: the same starts and record as at home."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from speclight.engines.client import EngineClient
from speclight.engines.oracle import EngineOracle, oracle_at
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate, mean_over
from speclight.measure.oracle_run import OracleSettings, trace_settings
from speclight.measure.profile import Profile, ProfiledText
from speclight.measure.store import recording
from speclight.measure.trace.record import KIND, SCHEMA, Trace, read_trace, text_unit, write_starts
from speclight.measure.trace.run import copy_profile
from speclight.measure.trace.starts import traced_positions, window_numbers
from speclight.measure.trace.traced import TracedStart
from speclight.progress import Progress, silent


def most_possible(found: Trace, family: str, node_budget: int) -> Estimate:
    """Mean of what E[X] can be at most: `found.limit_tokens_per_call` where every search was exact."""
    starts = found.of_family(family)
    values = [
        EngineOracle(start.best, start.best_depths, start.hidden, 0).tokens_per_call(node_budget)[1]
        for start in starts
    ]
    return mean_over([start.prompt_id for start in starts], values)


def run_engine_oracle(
    client: EngineClient,
    profile: Profile,
    settings: OracleSettings,
    top: int,
    folder: Path,
    progress: Progress = silent,
) -> Trace:
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
    traced = trace_settings(settings)
    chosen = traced_positions(profile, traced)
    end_of_text = sorted({text.token_ids[-1] for text in profile.texts if text.ended})
    plan = {
        "kind": KIND,
        "schema": SCHEMA,
        "target": client.model,
        "weights_sha256": None,
        "engine": {"dialect": client.dialect.name},
        "top": top,
        "end_of_text": end_of_text,
        "settings": asdict(traced),
        "sampling": asdict(profile.settings.sampling),
        "start_law": traced.start_law,
        "drafters": [],
        "texts": [[*text.key, starts] for text, starts in chosen],
    }
    temperature = profile.settings.sampling.temperature
    copy_profile(profile, folder)
    with recording(folder, plan) as records:
        for number, (text, starts) in enumerate(chosen):
            if not records.has(text_unit(number)):
                contexts = [(*text.prompt_token_ids, *text.token_ids[:start]) for start in starts]
                found = oracle_at(client, contexts, settings.node_budget, top, end_of_text, temperature)
                write_starts(records, text_unit(number), _starts(text, starts, found, settings.node_budget))
            progress(number + 1, len(chosen), f"oracle: best trees of {settings.node_budget} nodes")
    return read_trace(folder)


def _starts(
    text: ProfiledText, starts: list[int], found: list[EngineOracle], node_budget: int
) -> list[TracedStart]:
    return [
        TracedStart(
            text.prompt_id,
            text.family,
            text.sample,
            text.turn,
            start,
            window,
            text.token_ids[start : start + node_budget],
            one.path_log_probs,
            one.depths,
            {},
            one.requests,
            one.hidden_log_prob,
        )
        for start, window, one in zip(starts, window_numbers(starts), found, strict=True)
    ]
