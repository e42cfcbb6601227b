"""Texts sampled from the target: the ground on which races and coins are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from speclight.errors import InvalidInput
from speclight.experiments.races.text_settings import RaceTextSettings as RaceTextSettings
from speclight.measure.profile import Profile, ProfiledText, ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class RaceText:
    """One sampled text. number: among those of its temperature, from 0; seeds what is drawn along it."""

    number: int
    prompt_id: str
    temperature: float
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]

    @property
    def profiled(self) -> ProfiledText:
        """As trees are drafted along it; its log-probabilities do not matter there."""
        nothing = np.zeros(len(self.token_ids))
        before = self.prompt_token_ids
        return ProfiledText(
            self.prompt_id, "", self.number, before, self.token_ids, nothing, None, None, ended=False
        )


def sample_race_texts(
    model: CausalLM,
    prompts: tuple[Prompt, ...],
    settings: RaceTextSettings,
    folder: Path,
    progress: Progress = silent,
) -> tuple[RaceText, ...]:
    """The texts of a plan: a profile of each temperature, sampled where the folder does not hold it yet.

    The first turn of each prompt is answered. Raises StorageError if the folder holds another plan,
    InvalidInput if too few of the prompts lead to texts of the length asked for.
    """
    first = tuple(replace(prompt, turns=prompt.turns[:1]) for prompt in prompts)
    found: list[RaceText] = []
    for order, temperature in enumerate(settings.temperatures):
        texts = ProfileSettings(
            max_tokens=settings.tokens,
            batch_size=len(first),
            seed=settings.seed,
            sampling=SamplingSettings(temperature),
        )
        profile = run_profile(model, first, texts, folder / f"temperature-{order}", progress)
        found += _full(profile, first, settings, temperature)
    return tuple(found)


def _full(
    profile: Profile, prompts: tuple[Prompt, ...], settings: RaceTextSettings, temperature: float
) -> list[RaceText]:
    """The first texts, in the order of the prompts, that do not end early."""
    by_prompt = {text.prompt_id: text for text in profile.texts}
    texts = [by_prompt[prompt.prompt_id] for prompt in prompts]
    full = [text for text in texts if len(text.token_ids) == settings.tokens and not text.ended]
    if len(full) < settings.texts:
        raise InvalidInput(
            f"only {len(full)} of {len(prompts)} prompts lead to {settings.tokens} tokens at temperature "
            f"{temperature}, expected {settings.texts}: give more prompts, or ask for fewer texts or tokens"
        )
    return [
        RaceText(number, text.prompt_id, temperature, text.prompt_token_ids, text.token_ids)
        for number, text in enumerate(full[: settings.texts])
    ]
