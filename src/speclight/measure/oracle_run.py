"""The true limit at many contexts of a profile: a trace of the target's best trees alone."""

from __future__ import annotations

from pathlib import Path

from speclight.measure.oracle_settings import OracleSettings as OracleSettings
from speclight.measure.profile import Profile
from speclight.measure.trace.record import Trace
from speclight.measure.trace.run import copy_profile, run_trace
from speclight.measure.trace.settings import TraceSettings
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent


def run_oracle(
    model: CausalLM,
    profile: Profile,
    settings: OracleSettings,
    folder: Path,
    progress: Progress = silent,
) -> Trace:
    """Search the best tree at `contexts` starts of every family of a profile.

    Starts are an even spread over all positions that the ergodic bound may use at the same node budget, so
    both sides average over one start law; texts of later turns count like those of first ones. One text is
    the unit of work; a killed run resumes to the same bytes. Raises StorageError if the folder holds another
    plan, InvalidInput if texts are too short and as `run_trace`.
    """
    copy_profile(profile, folder)
    return run_trace(model, (), trace_settings(settings), folder, progress)


def trace_settings(settings: OracleSettings) -> TraceSettings:
    """The trace that an oracle is: scattered starts at which nothing is drafted."""
    return TraceSettings(
        node_budgets=(settings.node_budget,),
        window=1,
        windows_per_family=settings.contexts,
        tokens_ahead=True,
        seed=settings.seed,
    )
