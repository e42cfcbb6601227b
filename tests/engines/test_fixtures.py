"""Every real output of a vLLM 0.32 (CPU build) and a llama.cpp server, read or refused with its reason.

The default target behind both; data/ has what each wrote. Numbers of one run agree whatever says them.
"""

from pathlib import Path

import numpy as np
import pytest

from speclight.engines.checks import NEUTRAL
from speclight.engines.completion import CompletionRequest
from speclight.engines.dialects.known import DIALECTS, spoken_by
from speclight.engines.reports.read import read_report
from speclight.engines.reports.record import SpeculationCounts
from speclight.engines.text_files import read_texts, sampled_texts
from speclight.errors import InvalidInput

DATA = Path(__file__).parent / "data"
# Tokens of each text in the file.
TEXTS = {
    "vllm/chat_logprobs.json": [48],
    "vllm/chat_plain_T1.json": [48],
    "vllm/completions_echo.json": [5],  # the first token of the prompt has no law
    "vllm/completions_logprobs0.json": [8],
    "vllm/completions_logprobs5_ids.json": [8],
    "vllm/completions_n2.json": [16, 16],
    "vllm/cpu_ngram_T1_lossy_tokens.json": [32, 15, 32, 32, 32, 32, 32, 32],
    "vllm/cpu_plain_T1_tokens.json": [8, 32, 32, 15, 32, 32, 13, 32],
    "llamacpp/ngram_completion_nprobs_T07.json": [6],
    "llamacpp/ngram_completion_post_sampling.json": [6],
    "llamacpp/ngram_v1_completions_echo.json": [1],
    "llamacpp/ngram_v1_completions_logprobs.json": [6],
    "llamacpp/plain_completion_nprobs.json": [12],
    "llamacpp/plain_completion_nprobs_T07.json": [6],
    "llamacpp/plain_completion_post_sampling.json": [6],
    "llamacpp/plain_v1_chat_logprobs.json": [64],
    "llamacpp/plain_v1_completions_echo.json": [1],
    "llamacpp/plain_v1_completions_logprobs.json": [6],
}
NO_TEXTS = {
    "vllm/completions_prompt_logprobs.json": "no log-probabilities",
    "vllm/inference_v1_generate.json": "Scale-out endpoints are disabled",
    "vllm/offline_spec_decode_metrics.txt": "neither JSON nor JSON lines",
    "llamacpp/ngram_completion_nprobs.json": "exactly 0 without likeliest tokens",
    "llamacpp/ngram_v1_chat_logprobs.json": "exactly 0 without likeliest tokens",
}
NO_REPORT = {
    "vllm/completions_n2.json": "metrics",  # null for n > 1
    "vllm/inference_v1_generate.json": "metrics",
    "llamacpp/plain_log.txt": "no line about speculative decoding",
    "llamacpp/plain_completion_nprobs.json": "no draft_n",
    "llamacpp/plain_v1_chat_logprobs.json": "no draft_n",
}


def counts_of(name: str, before: str | None = None) -> SpeculationCounts:
    (report,) = read_report(DATA / name, None if before is None else DATA / before)
    assert report.counts is not None
    return report.counts


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str) -> None:
    found = read_texts(DATA / name)
    assert [len(text.tokens) for _, _, text in found] == TEXTS[name]
    for _, _, text in found:
        assert np.isfinite(text.log_probs).all()
        assert (text.log_probs <= 0.0).all()
        # The sampled token is among the likeliest with the log-probability stated for it, where it is listed.
        for token, log_prob, row in zip(text.tokens, text.log_probs, text.top, strict=True):
            assert all(one.log_prob == log_prob for one in row if one.token == token)
    assert len(sampled_texts(DATA / name)) == len(found)


@pytest.mark.parametrize("name", NO_TEXTS)
def test_what_holds_no_usable_texts(name: str) -> None:
    with pytest.raises(InvalidInput, match=NO_TEXTS[name]):
        sampled_texts(DATA / name)


def test_tokens_out_of_drafts_are_there_without_log_probs() -> None:
    """A reference can still score them."""
    for name, tokens, unstated in (("v1_chat_logprobs", 64, 36), ("completion_nprobs", 12, 2)):
        ((_, _, text),) = read_texts(DATA / f"llamacpp/ngram_{name}.json")
        assert len(text.token_ids or ()) == tokens
        assert int(np.isnan(text.log_probs).sum()) == unstated


@pytest.mark.parametrize("name", NO_REPORT)
def test_what_says_nothing_of_speculation(name: str) -> None:
    with pytest.raises(InvalidInput, match=NO_REPORT[name]):
        read_report(DATA / name)


def test_metrics_requests_and_log_of_the_vllm_server_agree() -> None:
    """The request for two texts has no metrics over HTTP; all else adds up to what the server counted."""
    whole = counts_of("vllm/metrics_after.prom", "vllm/metrics_before.prom")
    log = counts_of("vllm/server_log_specdecoding.txt")
    names = ("chat_logprobs", "chat_plain_T1", "completions_logprobs0", "completions_logprobs5_ids")
    requests = [counts_of(f"vllm/{name}.json") for name in names]
    silent = [counts_of(f"vllm/{name}.json") for name in ("completions_echo", "completions_prompt_logprobs")]
    assert (log.drafts, log.drafted, log.accepted) == (whole.drafts, whole.drafted, whole.accepted)
    assert [(one.drafts, one.accepted, one.generated) for one in silent] == [(0, 0, 1)] * 2
    two_texts = sum(len(text.tokens) for _, _, text in read_texts(DATA / "vllm/completions_n2.json"))
    assert whole.generated == sum(one.generated or 0 for one in [*requests, *silent]) + two_texts == 146
    drafts = whole.drafts - sum(one.drafts for one in requests)
    accepted = whole.accepted - sum(one.accepted for one in requests)
    drafted = (whole.drafted or 0) - sum(one.drafted or 0 for one in requests)
    assert (drafts, drafted, accepted) == (8, 31, 2)  # of the two texts: 8 drafts of at most 4 tokens
    assert drafts + accepted <= two_texts


def test_metrics_timings_and_log_of_the_llama_cpp_server_agree() -> None:
    whole = counts_of("llamacpp/ngram_metrics.prom")
    timings = [
        read_report(DATA / f"llamacpp/ngram_{name}.json")[0]
        for name in ("completion_nprobs", "v1_chat_logprobs")
    ]
    said = [report.cautions[0].split(" draft")[0] for report in timings]
    assert said == ["1 of 1", "9 of 118"]
    assert (whole.accepted, whole.drafted) == (1 + 9, 1 + 118)
    plain = counts_of("llamacpp/plain_metrics.prom")
    assert (plain.drafts, plain.accepted, plain.generated, plain.tokens_per_step) == (0, 0, 95, 1.0)


def test_the_plain_and_the_speculating_llama_cpp_server_state_one_law() -> None:
    """Before any draft: same prompt, same seed."""
    for name in ("v1_completions_echo", "completion_nprobs_T07", "completion_post_sampling"):
        one, other = (read_texts(DATA / f"llamacpp/{kind}_{name}.json")[0][2] for kind in ("plain", "ngram"))
        assert one.tokens == other.tokens
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=0, atol=1e-3)


def test_what_servers_say_of_themselves() -> None:
    import json

    def read(name: str) -> dict:
        return json.loads((DATA / name).read_text())

    vllm = {"/version": read("vllm/version.json"), "/v1/models": read("vllm/v1_models.json")}
    assert spoken_by(vllm.get).name == "vllm"
    for kind in ("plain", "ngram"):
        props = read(f"llamacpp/{kind}_props.json")
        assert spoken_by({"/props": props}.get).name == "llamacpp"
        params = props["default_generation_settings"]["params"]
        assert {name for name, value in NEUTRAL.items() if params[name] != value} == {
            "temperature",
            "top_k",
            "top_p",
            "min_p",
        }
    ids = DIALECTS["vllm"].chat_token_ids([], "", lambda request: read("vllm/tokenize_chat.json"))
    assert len(ids or ()) == 45
    # The chat answers were counted with as many prompt tokens.
    ((_, _, text),) = read_texts(DATA / "vllm/chat_logprobs.json")
    assert text.prompt_tokens == 45


def test_a_live_answer_out_of_drafts_is_refused_unless_allowed() -> None:
    import json

    from speclight.errors import EngineError

    answer = json.loads((DATA / "llamacpp/ngram_v1_chat_logprobs.json").read_text())
    dialect = DIALECTS["openai"]
    with pytest.raises(EngineError, match="exactly 0"):
        dialect.read(answer, CompletionRequest(({"role": "user", "content": "x"},), 64, top=2), lambda _: {})
    allowed = CompletionRequest(({"role": "user", "content": "x"},), 64, top=2, unstated_allowed=True)
    assert np.isnan(dialect.read(answer, allowed, lambda _: {}).log_probs).any()


def test_every_file_is_named_here_or_read_by_another_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for path in DATA.glob("*/*"):
        assert path.name in tests or path.name.removeprefix("plain_").removeprefix("ngram_")[:-5] in tests
