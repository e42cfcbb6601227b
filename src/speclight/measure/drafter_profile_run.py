"""A drafter along the target's own text: both laws at each start, and how far its best-first tree would hold.

The text is the verdict: a call emits the text's next tokens as far as they stay in the draft tree, and one
more. So the drafter reads text that was sampled once, and tokens per call need no assumption (arXiv
2512.11718v1, Lemma 1: the tree's expected tokens are the target's probabilities of its nodes).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from speclight.drafting.along_text import AlongText, features_along
from speclight.drafting.protocol import LawSource
from speclight.errors import InvalidInput
from speclight.measure.drafter_profile import (
    KIND,
    DraftedStart,
    DrafterProfile,
    DrafterProfileSettings,
    read_drafter_profile,
)
from speclight.measure.plan import run_plan
from speclight.measure.profile import Profile, ProfiledText
from speclight.measure.step_histogram import StepHistogram
from speclight.measure.store import recording
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest
from speclight.models.sampling_settings import SamplingSettings
from speclight.progress import Progress, silent
from speclight.theory.laws.law_pairs import pair_of_laws
from speclight.theory.laws.start_law import usable_starts
from speclight.trees.best_first import BestFirstGrowth


def run_drafter_profile(
    model: CausalLM,
    source: LawSource,
    profile: Profile,
    settings: DrafterProfileSettings,
    weights: str,
    folder: Path,
    progress: Progress = silent,
) -> DrafterProfile:
    """Lay a drafter over the texts of a target's profile; a text is the resumable unit.

    Starts are uniform positions usable at the largest node budget, as for the ergodic bound. weights: what
    the drafter was made from, for the plan. Raises StorageError if the folder holds another plan,
    InvalidInput if no text is long enough.
    """
    chosen = _chosen_starts(profile, settings)
    plan = run_plan(
        KIND,
        model,
        drafter=source.name,
        drafter_weights=weights,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        settings=asdict(settings),
        sampling=asdict(profile.settings.sampling),
        texts=[[*text.key, len(starts)] for text, starts in chosen],
    )
    with recording(folder, plan) as records:
        for number, (text, starts) in enumerate(chosen):
            name = f"text-{number:04d}"
            if not (records.has(name) and records.has(f"{name}-step-law")):
                histogram = StepHistogram(
                    text.family, model.vocabulary_size, tuple(sorted(model.end_of_text))
                )
                found = _lay_over(model, source, text, starts, settings, profile.settings.sampling, histogram)
                records.write(f"{name}-step-law", histogram.table())
                records.write(name, _table(found))
            progress(number + 1, len(chosen), f"{source.name} along the target's texts")
    return read_drafter_profile(folder)


def _chosen_starts(
    profile: Profile, settings: DrafterProfileSettings
) -> list[tuple[ProfiledText, list[int]]]:
    chosen: list[tuple[ProfiledText, list[int]]] = []
    for family in profile.families:
        pairs = zip(profile.of_family(family), profile.sampled_texts(family), strict=True)
        for number, (text, sampled) in enumerate(pairs):
            # Another offset in each text, so that every position of texts is looked at.
            starts = list(
                range(number % settings.every, usable_starts(sampled, settings.node_budget), settings.every)
            )
            if starts:
                chosen.append((text, starts))
    if not chosen:
        raise InvalidInput(
            f"no text has a start followed by {settings.node_budget - 1} tokens; profile longer texts "
            "(max_tokens) or lower the node budget",
            argument="max_tokens",
        )
    return chosen


def _lay_over(
    model: CausalLM,
    source: LawSource,
    text: ProfiledText,
    starts: list[int],
    settings: DrafterProfileSettings,
    sampling: SamplingSettings,
    histogram: StepHistogram,
) -> list[DraftedStart]:
    prompt, never = len(text.prompt_token_ids), sorted(model.end_of_text)
    token_ids = [*text.prompt_token_ids, *text.token_ids]
    laws = Forest(model, token_ids, [prompt + start - 1 for start in starts], sampling).root_laws
    along, features = AlongText(source, token_ids), features_along(model, source, token_ids)
    found: list[DraftedStart] = []
    for start, law in zip(starts, laws, strict=True):
        along.stop(prompt + start, features)
        root_law = along.law()
        tree = along.drafted(BestFirstGrowth(along.root, settings.node_budget, never)).tree
        dense = np.zeros((1, model.vocabulary_size))
        dense[0, root_law.tokens] = np.exp(root_law.log_probs)
        histogram.add(dense)
        pair = pair_of_laws(law, root_law.tokens, root_law.log_probs, never)
        places = tree.follow(text.token_ids[start:])
        ahead = along.log_probs_ahead(text.token_ids[start : start + settings.depths], never)
        target_ahead = text.log_probs[start : start + settings.depths]
        found.append(DraftedStart(text.prompt_id, text.family, start, pair, places, ahead, target_ahead))
    return found


def _table(found: list[DraftedStart]) -> pa.Table:
    rows = [
        {
            "prompt_id": start.prompt_id,
            "family": start.family,
            "start": start.start,
            **asdict(start.pair),
            "places": start.places.tolist(),
            "ahead": start.ahead.tolist(),
            "target_ahead": start.target_ahead.tolist(),
        }
        for start in found
    ]
    return pa.Table.from_pylist(rows)
