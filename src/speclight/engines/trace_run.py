"""The trace of a target behind an endpoint: its best trees along the texts of a profile.

What an endpoint gives of a trace. Drafters are not traced: their trees need the target's log-probability at
nodes that it does not list.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from speclight.engines.client import EngineClient
from speclight.engines.oracle import EngineOracle, oracle_at
from speclight.errors import InvalidInput
from speclight.measure.profile import Profile, ProfiledText
from speclight.measure.store import recording
from speclight.measure.trace.record import KIND, SCHEMA, Trace, read_trace, text_unit, write_starts
from speclight.measure.trace.run import copy_profile
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.trace.starts import traced_positions, window_numbers
from speclight.measure.trace.traced import TracedStart
from speclight.progress import Progress, silent


def trace_engine(
    client: EngineClient,
    profile: Profile,
    settings: TraceSettings,
    top: int,
    folder: Path,
    progress: Progress = silent,
) -> Trace:
    """Search the best tree at starts of a profile whose texts carry token ids, by an endpoint.

    Where too few likeliest tokens are listed for a tree to be certain, the start says what may be hidden.
    top: likeliest tokens asked for per node. What ended the profile's texts is never a node. One text is the
    unit of work; a killed run goes on with the first one missing. Raises InvalidInput without token ids, and
    what `oracle_at` and RecordFolder raise.
    """
    if any(len(text.token_ids) < len(text.log_probs) or not text.prompt_token_ids for text in profile.texts):
        raise InvalidInput(
            "this profile holds no token ids of prompts and texts, which an oracle search needs; profile an "
            "engine that gives them (vLLM, SGLang, llama.cpp)"
        )
    chosen = traced_positions(profile, settings)
    end_of_text = sorted({text.token_ids[-1] for text in profile.texts if text.ended})
    plan = {
        "kind": KIND,
        "schema": SCHEMA,
        "target": client.model,
        "weights_sha256": None,
        "engine": {"dialect": client.dialect.name},
        "top": top,
        "end_of_text": end_of_text,
        "settings": asdict(settings),
        "sampling": asdict(profile.settings.sampling),
        "start_law": settings.start_law,
        "drafters": [],
        "texts": [[*text.key, starts] for text, starts in chosen],
    }
    temperature, budget = profile.settings.sampling.temperature, settings.largest_budget
    copy_profile(profile, folder)
    with recording(folder, plan) as records:
        for number, (text, starts) in enumerate(chosen):
            if not records.has(text_unit(number)):
                contexts = [(*text.prompt_token_ids, *text.token_ids[:start]) for start in starts]
                found = oracle_at(client, contexts, budget, top, end_of_text, temperature)
                write_starts(records, text_unit(number), _starts(text, starts, found, budget))
            progress(number + 1, len(chosen), f"{client.model}: best trees of {budget} nodes")
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
