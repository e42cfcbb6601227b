"""All of the paper's experiments on a toy, for test_resume.py to kill. Argument: folder."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from speclight.cli.output import json_line
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.experiments.papers.run import reproduce
from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.question_files import read_question_files
from speclight.writing import write_whole
from toys import tiny_target

SETTINGS = PapersSettings(
    temperatures=(1.0, 0.7),
    max_tokens=20,
    batch_size=4,
    node_budgets=(2, 4, 8),
    limit_budgets=(16,),
    every=3,
)

torch.set_num_threads(1)
folder = Path(sys.argv[1])
questions = folder / "own.jsonl"
lines = [{"question_id": i, "category": "c", "turns": [f"t{i % 3}"] * (1 + i % 2)} for i in range(10)]
folder.mkdir(exist_ok=True)
write_whole(questions, "\n".join(map(json.dumps, lines)).encode())
drafters = [ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1)]
sys.stdout.write("started\n")
sys.stdout.flush()
found = reproduce(
    tiny_target(), "all", read_question_files([questions], 10), drafters, SETTINGS, folder / "records"
)
write_whole(folder / "reproduced.json", json_line(asdict(found)).encode())
