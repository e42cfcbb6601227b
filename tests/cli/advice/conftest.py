"""A small trace on disk, of a toy with two drafters."""

from itertools import count

import pytest

import speclight.measure.latency.run as run_module
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.measure.latency.run import run_latency
from speclight.measure.latency.settings import LatencySettings
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.trace.run import run_trace
from speclight.measure.trace.settings import TraceSettings
from speclight.models.sampling import SamplingSettings
from toys import tiny_target

PROMPTS = tuple(
    Prompt(f"{family}-{number}", family, (" ".join(["t0", "t2", "t3"][: 1 + number]),))
    for family in ("code", "qa")
    for number in range(3)
)
SETTINGS = TraceSettings(node_budgets=(2, 4, 8), growths=("best_first", "eagle2=3,2,2", "chain"), window=4)
DRAFTERS = (ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1))


@pytest.fixture(scope="session")
def toy():
    return tiny_target(6, seed=1, end_of_text=frozenset({5}), window=128)


@pytest.fixture(scope="session")
def traced(toy, tmp_path_factory):
    """The folder of a trace with the drafters ngram and layer_skip, budgets up to 8."""
    folder = tmp_path_factory.mktemp("advice") / "trace"
    run_profile(
        toy, PROMPTS, ProfileSettings(max_tokens=14, sampling=SamplingSettings(1.0)), folder / "texts"
    )
    run_trace(toy, DRAFTERS, SETTINGS, folder)
    return str(folder)


@pytest.fixture(scope="session")
def timed(toy, tmp_path_factory):
    """The folder of call times of the same toy and drafters: each takes one second of a made-up clock."""
    folder = tmp_path_factory.mktemp("advice") / "latency"
    seconds = count()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_module, "memory_bytes_per_second", lambda *_, **__: 1e9)
        patched.setattr(run_module, "flops_per_second", lambda *_, **__: 1e10)
        settings = LatencySettings((1, 2, 4, 8), (8,), (1, 2), rounds=2, warm_up=1, loop_calls=0)
        run_latency(toy, settings, folder, clock=lambda: float(next(seconds)), drafters=DRAFTERS)
    return str(folder)
