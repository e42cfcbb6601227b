"""How far any decode could get, from an API's log-probabilities: one JSON list of numbers a line.

Usage: python examples/bound_from_log_probs.py ANSWERS.jsonl [P ...]
Each line holds the log-probabilities (natural) of the tokens of one sampled answer, cut at a length limit.
"""

import json
import sys
from pathlib import Path

import speclight

file, *budgets = sys.argv[1:]
answers = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
for node_budget in [int(budget) for budget in budgets] or [4, 8, 16]:
    limits = speclight.limits_from_log_probs(answers, node_budget, ended=False)
    bound, certified = limits.decode.going_on, limits.certified
    print(
        f"P = {node_budget}: some decode reaches {certified.value:.2f} tokens per call, "
        f"none more than {bound.value:.2f} (95% upper limit {bound.upper:.2f})"
    )
