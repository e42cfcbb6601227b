"""A profile of the toy target and its trace, for tests/measure/test_resume.py to kill. Argument: folder."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.trace.run import run_trace
from speclight.measure.trace.settings import TraceSettings
from toys import tiny_target

PROMPTS = tuple(
    Prompt(f"{family}-{number}", family, (" ".join(f"t{(number + step) % 5}" for step in range(3 + number)),))
    for family in ("odd", "even")
    for number in range(8)
)
SETTINGS = TraceSettings(
    node_budgets=(2, 4, 9),
    growths=("best_first", "eagle2=3,2,2", "chain"),
    window=4,
    windows_per_family=16,
    sampled=("rejection",),
    noises=2,
)
DRAFTERS = (ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1))

torch.set_num_threads(1)
target = tiny_target(vocabulary_size=6, seed=1, end_of_text=frozenset({5}), window=128)
sys.stdout.write("started\n")
sys.stdout.flush()
folder = Path(sys.argv[1])
run_profile(target, PROMPTS, ProfileSettings(max_tokens=40, batch_size=16), folder / "texts")
run_trace(target, DRAFTERS, SETTINGS, folder)
