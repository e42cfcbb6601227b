"""Plans written by hand and the settings of engines for them; run as a script, the settings as JSON.

An engine's own parser reads them in that engine's environment: see tests/engines/vllm_reads_settings.py and
tests/engines/sglang_reads_settings.py.
"""

from __future__ import annotations

import json
import sys

from speclight.advice.configuration import Configuration
from speclight.advice.engine_settings.engine import EngineSettings, settings_for
from speclight.advice.engine_settings.known import ENGINES
from speclight.advice.plan import PLAIN, FreeOracle, Plan
from speclight.advice.prediction import Prediction
from speclight.measure.estimates import Estimate

BY_NAME = {engine.name: engine for engine in ENGINES}


def plan_of(*speeds: tuple, batch_size: int = 1) -> Plan:
    """(drafter, growth, rule, P, tokens per second, whether P is auto) each; plain decoding at 100."""
    made = [(Configuration(*row[:4], *row[5:]), row[4]) for row in speeds]
    rows = sorted([*made, (PLAIN, 100.0)], key=lambda row: -row[1])
    return Plan(
        tuple(
            Prediction(name, Estimate(speed, None, None, None, 1), 2.0, 1e-2, 1e-3) for name, speed in rows
        ),
        FreeOracle(8, 3.0, 300.0),
        {"code": 1.0},
        (),
        64,
        batch_size,
    )


TREES = plan_of(
    ("eagle3=HEAD", "best_first", "target_sample", 16, 250.0),
    ("eagle3=HEAD", "eagle2=4,2,2", "target_sample", 9, 230.0),
    ("eagle3=HEAD", "eagle2=4,2,3", "target_sample", 9, 225.0),
    ("eagle3=HEAD", "chain", "target_sample", 5, 200.0),
    ("ngram", "chain", "target_sample", 8, 150.0),
)


def told(name: str, *plans: Plan) -> EngineSettings:
    return settings_for(BY_NAME[name], plans)


# Of every kind that engines are told: chains and trees, samples, several batch sizes, none where none pays.
CASES: tuple[tuple[Plan, ...], ...] = (
    (TREES,),
    (plan_of(("model=SMALL", "chain", "block", 5, 200.0)),),
    (plan_of(("model=SMALL", "chain", "rejection", 5, 200.0)),),
    (plan_of(("medusa=HEADS", "chain", "target_sample", 4, 200.0)),),
    (plan_of(("ngram", "chain", "target_sample", 8, 150.0)),),
    tuple(
        plan_of(("eagle3=HEAD", "chain", "target_sample", budget, speed), batch_size=size)
        for budget, speed, size in ((8, 200.0, 1), (4, 150.0, 8), (4, 90.0, 32))
    ),
    tuple(
        plan_of(("model=SMALL", "chain", "target_sample", budget, 200.0), batch_size=size)
        for budget, size in ((6, 1), (3, 16))
    ),
)

if __name__ == "__main__":
    emitted = {name: [told(name, *plans).lines for plans in CASES] for name in BY_NAME}
    json.dump(emitted, sys.stdout, indent=1)
