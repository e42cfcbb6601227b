"""The default target behind a llama.cpp server in float32, beside the same target loaded here."""

from pathlib import Path

import numpy as np
import pytest
import torch

from llamacpp_server import float32_copy, llama_cpp_server
from speclight.engines.client import EngineClient, EngineSettings
from speclight.engines.oracle import oracle_at
from speclight.engines.profile_run import profile_engine
from speclight.engines.reports.prometheus import read_metrics
from speclight.engines.verdict import engine_verdict, sample_from_server
from speclight.measure.estimates import mean_over
from speclight.measure.profile import Profile, ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import shipped_prompts
from speclight.measure.true_limit import oracle_contexts
from speclight.models.causal_lm import CausalLM
from speclight.models.default_target import default_gguf
from speclight.models.load import load
from speclight.models.sampling import SamplingSettings
from speclight.theory.ergodic.decode import decode_bound

pytestmark = [pytest.mark.model, pytest.mark.slow]
# Two programs compute in float32, in another order; a wrong token or law would be off by nats.
SAME_NATS = 1e-3
PROMPTS = shipped_prompts(["qa"])[:8]
SETTINGS = ProfileSettings(max_tokens=32)
BUDGET = 8
# Two estimates of one quantity from different draws: farther apart than this in 3 of 10,000 runs; the seeds
# are fixed.
STANDARD_ERRORS = 3.6


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return float32_copy(default_gguf(), tmp_path_factory.mktemp("gguf") / "float32.gguf")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "n-gram"])
def served(request: pytest.FixtureRequest, weights: Path):
    with (
        llama_cpp_server(weights, slots=2, speculates=request.param, match_tokens=2, float32=True) as url,
        EngineClient(EngineSettings((url,), concurrency=3)) as found,
    ):
        yield found, request.param


@pytest.fixture(scope="module")
def target() -> CausalLM:
    return load(kernels="fast")  # in float32, as the server


def test_profile_limits_and_oracle_are_the_local_ones(
    weights: Path, target: CausalLM, tmp_path: Path
) -> None:
    with (
        llama_cpp_server(weights, slots=2, float32=True) as url,
        EngineClient(EngineSettings((url,), concurrency=3)) as client,
    ):
        served = profile_engine(client, PROMPTS, SETTINGS, tmp_path / "served")
        contexts = [
            (*text.prompt_token_ids, *text.token_ids[:start])
            for text, start in zip(served.texts[:2], (3, 11), strict=True)
        ]
        searched = oracle_at(client, contexts, BUDGET, BUDGET - 1, sorted(target.end_of_text))
    for text in served.texts:
        np.testing.assert_allclose(text.log_probs, _scored(target, text), rtol=0, atol=SAME_NATS)
        assert (text.token_ids[-1] in target.end_of_text) == text.ended
    for context, oracle in zip(contexts, searched, strict=True):
        (local,) = oracle_contexts(target, list(context), [len(context) - 1], BUDGET, SamplingSettings())
        np.testing.assert_allclose(oracle.path_log_probs, local.path_log_probs, rtol=0, atol=SAME_NATS)
    here = run_profile(target, PROMPTS, SETTINGS, tmp_path / "here")
    for power in (1, 2):
        one, other = (_moment(profile, power) for profile in (served, here))
        apart = np.hypot(one.standard_error or 0.0, other.standard_error or 0.0)
        assert abs(one.value - other.value) <= STANDARD_ERRORS * apart
    bounds = [decode_bound(profile.sampled_texts("qa"), BUDGET).going_on for profile in (served, here)]
    apart = np.hypot(*(bound.standard_error for bound in bounds))
    assert abs(bounds[0].value - bounds[1].value) <= STANDARD_ERRORS * apart


def _scored(target: CausalLM, text) -> np.ndarray:
    ids = torch.tensor([[*text.prompt_token_ids, *text.token_ids]])
    with torch.inference_mode():
        logits = target.model(ids).logits[0, len(text.prompt_token_ids) - 1 : -1].double()
    return torch.log_softmax(logits, -1)[range(len(text.token_ids)), list(text.token_ids)].numpy()


def _moment(profile: Profile, power: int):
    """mu (power 1) or mu2 (power 2) from sampled log-probabilities, clustered by prompt."""
    texts = [(text.prompt_id, value) for text in profile.texts for value in (-text.log_probs) ** power]
    return mean_over([prompt for prompt, _ in texts], [float(value) for _, value in texts])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_sampling_is_lossless_plain_and_with_n_grams(
    served: tuple[EngineClient, bool], target: CausalLM, temperature: float
) -> None:
    """Against the target here: llama.cpp states nothing of drafted tokens. False alarm 1e-3 for each."""
    client, speculates = served
    texts = sample_from_server(client, PROMPTS, 480, 0, temperature, seed=3)
    verdict = engine_verdict(texts, temperature, target)
    assert verdict.whole.is_passed
    assert verdict.whole.tokens >= 200
    assert verdict.largest_gap_nats is not None
    assert verdict.largest_gap_nats < SAME_NATS
    (report,) = read_metrics(client.get_text("/metrics"))
    assert report.counts is not None
    assert (report.counts.accepted > 0) == speculates
