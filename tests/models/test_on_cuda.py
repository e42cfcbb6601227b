"""What decoding does on a CUDA device, and, with the same code, on the CPU: texts and laws are the same."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import speclight
from speclight.errors import BrokenModelOutput
from speclight.models.load import load
from speclight.models.sampling import SamplingSettings, law_on_device, processed_probabilities
from speclight.models.scored_text import ScoredText, score_together
from speclight.trees.draft_tree import root_only
from toys import as_target, law_after, tiny_llama, tiny_target

ROOT = Path(__file__).parents[2]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
# Float64: the same exponentials, summed in another order.
LAW_ATOL = 1e-14
FLOAT32_LAW_ATOL = 1e-5
SETTINGS = {
    "greedy": SamplingSettings(0.0),
    "temperature 1": SamplingSettings(),
    "a tiny temperature": SamplingSettings(1e-300),
    "a high temperature": SamplingSettings(3.0),
    "top-k": SamplingSettings(0.7, top_k=4),
    "top-p": SamplingSettings(1.0, top_p=0.6),
    "top-p of all": SamplingSettings(1.0, top_p=1.0),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SETTINGS)
def test_laws_worked_out_on_the_device_are_those_of_the_cpu(name, device):
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=4.0, size=(5, 30)).astype(np.float32)
    logits[1, 3] = logits[1, 7] = 30.0  # equals: the lower id wins
    logits[2, 5:] = -np.inf
    expected = processed_probabilities(logits, SETTINGS[name])
    for row, law in zip(logits, expected, strict=True):
        made = law_on_device(torch.from_numpy(row).to(device), SETTINGS[name])
        np.testing.assert_allclose(made, law, rtol=0, atol=LAW_ATOL)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("wrong", [[np.nan, 0.0, 1.0], [np.inf, 0.0, 1.0], [-np.inf] * 3])
def test_broken_logits_are_found_on_the_device(name, wrong, device):
    with pytest.raises(BrokenModelOutput):
        law_on_device(torch.tensor(wrong, device=device), SETTINGS[name])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_seed_gives_the_text_of_the_cpu(device, temperature):
    there, here = tiny_target(6, seed=3), tiny_target(6, seed=3)
    there.model.to(device)
    there.device = there.model.device
    options = {"temperature": temperature, "max_tokens": 40, "seed": 1, "raw": True, "node_budget": 8}
    texts = [
        speclight.generate(target, "t1 t2 t1 t2", drafter=drafter, **options).token_ids
        for target, drafter in ((there, "ngram"), (here, "ngram"))
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("device", DEVICES)
def test_texts_side_by_side_have_the_laws_of_the_cpu(device):
    """Of a plain pass over each, in float32, whose attention on CUDA reads masks in steps of 16 bytes."""
    texts = [list(range(1, length)) for length in (4, 9, 6)]
    there, here = (as_target(tiny_llama(12, seed=3).float().to(place)) for place in (device, "cpu"))
    logits = score_together([ScoredText(there, text) for text in texts], [root_only(t[-1]) for t in texts])
    for text, (row,) in zip(texts, logits, strict=True):
        law = torch.softmax(row.double(), dim=-1).cpu().numpy()
        np.testing.assert_allclose(law, law_after(here, text), rtol=0, atol=FLOAT32_LAW_ATOL)


@pytest.mark.cuda
@pytest.mark.parametrize("drafter", ["none", "ngram", "eagle3", "layer_skip"])
def test_the_default_target_writes_the_text_of_the_cpu(drafter):
    there, here = load(device="cuda"), load()
    options = {"temperature": 0, "max_tokens": 24, "node_budget": 8}
    texts = [
        speclight.generate(target, "Name three rivers.", drafter=drafter, **options).token_ids
        for target in (there, here)
    ]
    assert texts[0] == texts[1]


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("device", DEVICES)
def test_the_prepared_script_runs_in_its_tiny_form(device):
    command = [sys.executable, str(ROOT / "benchmarks/on_cuda.py"), "--tiny", "--device", device]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    made = json.loads(done.stdout.splitlines()[-1])
    assert {row["node_budget"] for row in made["call_times"]} == {1, 2, 8}
    decoders = {"plain", "ngram, P = 8", "eagle3, P = 4", "eagle3, P = 16", "eagle3, P = auto"}
    assert {row["decoder"] for row in made["decoding"]} == decoders
    assert ("eager" in {row["kernels"] for row in made["call_times"]}) == (device == "cuda")
    assert all(row["tokens_per_second"] > 0 for row in made["decoding"])
    assert all(row["same_texts"] for row in made["drafting_ahead"])
    assert made["drafting_ahead"]
