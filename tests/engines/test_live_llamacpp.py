"""A real engine on this machine: llama.cpp's server on a tiny GGUF in float32, beside the same model at
home.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from llamacpp_server import llama_cpp_server
from models.tiny_gguf import write_tiny_gguf
from speclight.cli.main import main
from speclight.engines.checks import Trust, check_engine, example_prompt
from speclight.engines.client import EngineClient, EngineSettings
from speclight.engines.completion import CompletionRequest
from speclight.engines.oracle import oracle_at
from speclight.engines.oracle_run import most_possible, run_engine_oracle
from speclight.engines.profile_run import profile_engine
from speclight.engines.reports.prometheus import read_metrics
from speclight.engines.verdict import engine_verdict, sample_from_server
from speclight.measure.oracle_run import OracleSettings
from speclight.measure.profile import ProfileSettings
from speclight.measure.prompts import Prompt
from speclight.measure.true_limit import oracle_contexts
from speclight.models.default_target import default_gguf
from speclight.models.load import load
from speclight.models.sampling import SamplingSettings

# llama.cpp rounds its rotary tables and softmax otherwise; a wrong token or law would be off by nats.
SAME_NATS = 1e-3
PROMPTS = (Prompt("qa-1", "qa", ("the 12 the",)), Prompt("qa-2", "qa", ("a 12 12",)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", quantised=False)


@pytest.fixture(scope="module")
def url(model: Path):
    with llama_cpp_server(model, slots=2, context_tokens=1024, float32=True) as address:
        yield address


@pytest.fixture
def client(url: str):
    with EngineClient(EngineSettings((url,), concurrency=2)) as found:
        yield found


@pytest.fixture(scope="module")
def target(model: Path):
    return load(str(model))


def local_log_probs(target, prompt, tokens, temperature: float = 1.0) -> np.ndarray:
    with torch.inference_mode():
        logits = target.model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1].double()
    return torch.log_softmax(logits / temperature, -1)[range(len(tokens)), list(tokens)].numpy()


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probs_are_the_local_ones(client: EngineClient, target, temperature: float) -> None:
    """Bytes of half characters among them, of which the server states nothing at first."""
    for seed in range(4):
        prompt = (5, 9, 30, 77, 12)
        text = client.complete(CompletionRequest(prompt, 24, temperature, 5, seed))
        assert text.token_ids is not None
        expected = local_log_probs(target, prompt, text.token_ids, temperature)
        np.testing.assert_allclose(text.log_probs, expected, rtol=0, atol=SAME_NATS)


def test_profile_through_the_engine(client: EngineClient, target, tmp_path: Path) -> None:
    profile = profile_engine(client, PROMPTS, ProfileSettings(max_tokens=20, samples=3), tmp_path, top=3)
    assert len(profile.texts) == 6
    for text in profile.texts:
        expected = local_log_probs(target, text.prompt_token_ids, text.token_ids)
        np.testing.assert_allclose(text.log_probs, expected, rtol=0, atol=SAME_NATS)


@pytest.mark.parametrize("top", [15, 4])
def test_the_engines_oracle_is_the_local_one(client: EngineClient, target, top: int) -> None:
    """With K >= P - 1 equal; with fewer the local value lies inside the interval."""
    contexts = [(5, 9, 30, 77, 12), (60, 61, 62), (7, 100, 30)]
    end = sorted(target.end_of_text)
    found = oracle_at(client, contexts, 16, top, end)
    for context, oracle in zip(contexts, found, strict=True):
        (local,) = oracle_contexts(target, list(context), [len(context) - 1], 16, SamplingSettings())
        low, high = oracle.tokens_per_call(16)
        assert low - SAME_NATS <= local.tokens_per_call(16) <= high + SAME_NATS
        if top == 15:
            np.testing.assert_allclose(
                oracle.path_log_probs, local.path_log_probs, rtol=0, atol=2 * SAME_NATS
            )


@pytest.mark.slow
def test_oracle_records_of_a_profile(client: EngineClient, tmp_path: Path) -> None:
    profile = profile_engine(client, PROMPTS, ProfileSettings(max_tokens=20), tmp_path / "profile")
    settings = OracleSettings(contexts=4, node_budget=6)
    record = run_engine_oracle(client, profile, settings, 6, tmp_path / "oracle")
    again = run_engine_oracle(client, profile, settings, 6, tmp_path / "oracle")
    assert [start.hidden for start in record.starts] == [start.hidden for start in again.starts]
    assert record.limit_tokens_per_call("qa", 6).value <= most_possible(record, "qa", 6).value + 1e-12


def test_what_the_server_means_is_found_out(client: EngineClient) -> None:
    found = {one.name: one for one in check_engine(client, example_prompt(client))}
    assert found["tokens"].found == "ids"
    assert found["log-probabilities"].found.startswith("of the law it samples")
    assert found["sampling defaults"].found == "temperature 0.8, top_k 40, top_p 0.95, min_p 0.05"
    assert found["seeds"].found == "equal seeds, equal texts"
    assert all(one.trust is not Trust.UNUSABLE for one in found.values())


@pytest.mark.slow
def test_plain_sampling_passes(client: EngineClient) -> None:
    verdict = engine_verdict(sample_from_server(client, PROMPTS, 600, 20, 1.0))
    assert verdict.whole.is_passed


@pytest.mark.model
@pytest.mark.slow
def test_log_probs_out_of_drafts_are_refused() -> None:
    """Greedy text that repeats itself is drafted; each token out of a draft comes with log-probability 0."""
    with (
        llama_cpp_server(default_gguf(), slots=2, context_tokens=1024, speculates=True) as url,
        EngineClient(EngineSettings((url,))) as client,
    ):
        found = {one.name: one for one in check_engine(client, example_prompt(client))}
        assert found["log-probabilities of drafted tokens"].trust is Trust.UNUSABLE
        (report,) = read_metrics(client.get_text("/metrics"))
        assert report.counts is not None
        assert report.counts.drafts > 0


@pytest.mark.slow
def test_commands(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = tmp_path / "questions.jsonl"
    lines = [{"question_id": n, "category": "qa", "turns": [f"the {n} the"]} for n in range(3)]
    questions.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    common = ["--engine", url, "--json"]
    assert main(["engine-check", url, "--json"]) == 0
    assert {one["trust"] for one in json.loads(capsys.readouterr().out)["findings"]} <= {"good", "limited"}
    folder = str(tmp_path / "profile")
    assert main(["profile", *common, "--prompts", str(questions), "--max-tokens", "24", "--out", folder]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["families"]["qa"]["full"] is None
    assert document["families"]["qa"]["sampled"]["tokens"] > 24
    oracle = ["--profile", folder, "--out", str(tmp_path / "oracle"), "--budget", "2,6", "--contexts", "3"]
    assert main(["oracle", *common, *oracle]) == 0
    (_, largest) = json.loads(capsys.readouterr().out)["families"]["qa"]["limits"]
    assert 1.0 <= largest["tokens_per_call"] <= largest["tokens_per_call_at_most"] <= 6.0
    assert main(["verify", *common, "--prompts", str(questions), "--engine-tokens", "300"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "no fault found"
    assert main(["profile", "--engine", "http://127.0.0.1:9", "--dialect", "vlm"]) == 2
