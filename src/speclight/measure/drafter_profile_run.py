"""Drafters along the target's own text, looked at one start in so many: a trace with the drafters' laws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.measure.drafter_profile import GROWTH, DrafterProfile, read_drafter_profiles
from speclight.measure.drafter_profile_settings import DrafterProfileSettings
from speclight.measure.profile import Profile
from speclight.measure.trace.run import copy_profile, run_trace
from speclight.measure.trace.settings import TraceSettings
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent


def run_drafter_profiles(
    model: CausalLM,
    drafters: Sequence[ComparedDrafter],
    profile: Profile,
    settings: DrafterProfileSettings,
    folder: Path,
    progress: Progress = silent,
) -> dict[str, DrafterProfile]:
    """Trace drafters' best-first trees and their laws along the texts of a target's profile, in one trace.

    Returns them by label; the target's best trees at the same starts, searched once for all, are in the trace
    (`read_trace`). Starts are uniform positions usable at the largest node budget, as for the ergodic bound.
    Raises what `run_trace` raises, InvalidInput too if no text of a family is long enough.
    """
    copy_profile(profile, folder)
    traced = TraceSettings(
        node_budgets=(settings.node_budget,),
        growths=(GROWTH,),
        window=1,
        windows_per_family=sum(len(text.log_probs) for text in profile.texts),  # as `every` has it
        every=settings.every,
        tokens_ahead=True,
        lookahead=settings.depths,
        drafter_laws=True,
    )
    run_trace(model, drafters, traced, folder, progress)
    return read_drafter_profiles(folder)


def run_drafter_profile(
    model: CausalLM,
    drafter: ComparedDrafter,
    profile: Profile,
    settings: DrafterProfileSettings,
    folder: Path,
    progress: Progress = silent,
) -> DrafterProfile:
    """`run_drafter_profiles` of one drafter."""
    (found,) = run_drafter_profiles(model, (drafter,), profile, settings, folder, progress).values()
    return found
