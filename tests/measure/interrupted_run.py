"""A small profile and oracle run of the toy target, for test_resume.py to kill. Argument: folder."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from speclight.measure.oracle_run import OracleSettings, run_oracle
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from toys import tiny_target

PROMPTS = tuple(
    Prompt(f"{family}-{number}", family, (" ".join(f"t{(number + step) % 5}" for step in range(3 + number)),))
    for family in ("odd", "even")
    for number in range(12)
)

torch.set_num_threads(1)
target = tiny_target(vocabulary_size=5, seed=1, end_of_text=frozenset({4}), window=128, layers=1)
sys.stdout.write("started\n")
sys.stdout.flush()
folder = Path(sys.argv[1])
profile = run_profile(target, PROMPTS, ProfileSettings(max_tokens=40, batch_size=2), folder / "profile")
run_oracle(target, profile, OracleSettings(contexts=30, node_budget=12), folder / "oracle")
