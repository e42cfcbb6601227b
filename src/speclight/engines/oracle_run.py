"""The oracle of an endpoint at many contexts of a profile: the same starts and record as at home."""

from __future__ import annotations

from pathlib import Path

from speclight.engines.client import EngineClient
from speclight.engines.oracle import between
from speclight.engines.trace_run import trace_engine
from speclight.measure.estimates import Estimate, mean_over
from speclight.measure.oracle_run import OracleSettings, trace_settings
from speclight.measure.profile import Profile
from speclight.measure.trace.record import Trace
from speclight.progress import Progress, silent


def most_possible(found: Trace, family: str, node_budget: int) -> Estimate:
    """Mean of what E[X] can be at most: `found.limit_tokens_per_call` where every search was exact."""
    starts = found.of_family(family)
    values = [between(start.best, start.hidden, node_budget)[1] for start in starts]
    return mean_over([start.prompt_id for start in starts], values)


def run_engine_oracle(
    client: EngineClient,
    profile: Profile,
    settings: OracleSettings,
    top: int,
    folder: Path,
    progress: Progress = silent,
) -> Trace:
    """Search the best tree at scattered starts of a profile by an endpoint, see `trace_engine`."""
    return trace_engine(client, profile, trace_settings(settings), top, folder, progress)
