"""Profile and oracle as the package offers them: prompts may be plain texts, and defaults are filled in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speclight.checks import check_text
from speclight.errors import InvalidInput
from speclight.measure.oracle_run import OracleSettings, run_oracle
from speclight.measure.profile import Profile, ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt, shipped_prompts
from speclight.measure.trace.record import Trace
from speclight.models.causal_lm import CausalLM
from speclight.models.given_target import check_target
from speclight.progress import Progress, silent

# The family of prompts given as plain texts.
FAMILY = "prompts"


def profile(
    target: CausalLM,
    prompts: Sequence[str | Prompt] | None = None,
    folder: str | Path = "out/profile",
    settings: ProfileSettings | None = None,
    progress: Progress = silent,
) -> Profile:
    """The entropy profile of a target along its own text, recorded in a folder and resumed from there.

    prompts: texts, or prompts with families of their own; the shipped ones if None. settings: lengths and
    the law that is sampled, ProfileSettings() if None. Raises InvalidInput for anything but prompts and for
    temperature 0, and StorageError if the folder holds another plan.
    """
    check_target(target)
    _check_settings(settings, ProfileSettings)
    settings = settings or ProfileSettings()
    settings.check_entropy()
    return run_profile(target, _prompts(prompts), settings, Path(folder), progress, keep_laws=True)


def oracle(
    target: CausalLM,
    profile: Profile,
    folder: str | Path = "out/oracle",
    settings: OracleSettings | None = None,
    progress: Progress = silent,
) -> Trace:
    """The best possible tokens per call of any draft tree, searched with the target at a profile's contexts.

    settings: how many contexts, and the largest node budget; OracleSettings() if None. The trace holds the
    best trees alone; its `limit_tokens_per_call` gives means with intervals. Raises InvalidInput for a
    profile of another target or without long enough texts, and StorageError if the folder holds another plan.
    """
    check_target(target)
    if not isinstance(profile, Profile):
        raise InvalidInput(
            f"got the profile {profile!r}, expected what speclight.profile returned; call it first"
        )
    _check_settings(settings, OracleSettings)
    return run_oracle(target, profile, settings or OracleSettings(), Path(folder), progress)


def _check_settings(given: object, kind: type) -> None:
    if given is not None and not isinstance(given, kind):
        raise InvalidInput(
            f"got the settings {given!r}, expected {kind.__name__}; leave them out for its defaults"
        )


def _prompts(given: Sequence[str | Prompt] | None) -> tuple[Prompt, ...]:
    if given is None:
        return shipped_prompts()
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise InvalidInput(f"got the prompts {given!r}, expected a list of texts; write [text]")
    found: list[Prompt] = []
    for number, prompt in enumerate(given):
        if not isinstance(prompt, Prompt):
            check_text(f"prompt {number}", prompt)
            prompt = Prompt(f"{FAMILY}-{number}", FAMILY, (prompt,))
        found.append(prompt)
    return tuple(found)
