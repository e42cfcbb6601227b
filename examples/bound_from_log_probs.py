"""An upper bound on tokens per call from an API's log-probabilities: one JSON list of numbers a line.

Usage: python examples/bound_from_log_probs.py ANSWERS.jsonl [P ...]
Each line holds the log-probabilities (natural) of the tokens of one sampled answer, cut at a length limit.
"""

import json
import sys
from pathlib import Path

import numpy as np

from speclight.theory.ergodic.bound import ergodic_renewal
from speclight.theory.laws.sampled_text import SampledText

file, *budgets = sys.argv[1:]
texts = [
    SampledText(-np.array(json.loads(line)), ended=False, prompt_id=f"answer {number}")
    for number, line in enumerate(Path(file).read_text(encoding="utf-8").splitlines())
]
for node_budget in [int(budget) for budget in budgets] or [4, 8, 16]:
    bound = ergodic_renewal(texts, node_budget)
    print(
        f"P = {node_budget}: at most {bound.corrected:.2f} ± {2 * bound.standard_error:.2f} tokens per call"
    )
