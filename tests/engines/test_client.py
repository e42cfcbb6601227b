"""The client beside a server that dies, stalls, answers 429 and 500, cuts its JSON or changes its model."""

import json

import numpy as np
import pytest

from engines.fake_server import END, Behaviour, fake_server, law
from speclight.engines.checks import check_engine
from speclight.engines.client import API_KEY_VARIABLE, EngineClient, EngineSettings, address_of
from speclight.engines.completion import CompletionRequest
from speclight.engines.profile_run import profile_engine
from speclight.errors import EngineError, InvalidInput, StorageError
from speclight.measure.listed_tops import read_tops
from speclight.measure.profile import ProfileSettings
from speclight.measure.prompts import Prompt
from speclight.models.sampling import SamplingSettings

PROMPTS = tuple(Prompt(f"qa-{n}", "qa", (f"What is {n} times {n} or so?",)) for n in range(6))
REQUEST = CompletionRequest((3, 4), 8, 1.0, 5, seed=1)


def client_of(*urls: str, **changes: object) -> EngineClient:
    return EngineClient(EngineSettings(urls, **{"first_wait_s": 0.0, "concurrency": 3, **changes}))


def test_tokens_and_log_probs_are_those_of_the_server() -> None:
    with fake_server(Behaviour()) as url, client_of(url) as client:
        assert (client.dialect.name, client.model) == ("vllm", "fake")
        text = client.complete(REQUEST)
    context = [3, 4]
    for token, log_prob, row in zip(text.tokens, text.log_probs, text.top, strict=True):
        expected = np.log(law(context))
        assert log_prob == pytest.approx(expected[token], abs=1e-12)
        assert [one.log_prob for one in row] == pytest.approx(sorted(expected, reverse=True)[:5], abs=1e-12)
        context.append(int(token))


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(fail=[429, 500, 503]),
        Behaviour(fail=[429], retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
        Behaviour(fail=[429], retry_after="soon"),
        Behaviour(cut=2),
        Behaviour(drop=2),
    ],
    ids=["statuses", "a date", "no date", "cut answers", "dropped connections"],
)
def test_passing_faults_are_tried_again(behaviour: Behaviour) -> None:
    with fake_server(behaviour) as url, client_of(url) as client:
        asked = client.complete(REQUEST)
    with fake_server(Behaviour()) as url, client_of(url) as client:
        assert client.complete(REQUEST).tokens == asked.tokens


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour(fail=[500] * 9), "answered 500"),
        (Behaviour(cut=9), "no JSON"),
        (Behaviour(drop=9), "did not answer"),
        (Behaviour(stall_s=2.0), "did not answer"),
        (Behaviour(largest_top=2), "logprobs above 2"),
        (Behaviour(fail=[429], retry_after="3600"), "asks for a pause of 3600 s"),
        (Behaviour(fewer_top=3), "asked the engine for the 5 likeliest tokens, got [23]"),
    ],
    ids=["500", "cut", "dead", "stalled", "refused", "a long pause", "fewer likeliest tokens"],
)
def test_lasting_faults_end_in_a_clear_error(behaviour: Behaviour, said: str) -> None:
    with fake_server(behaviour) as url, client_of(url, attempts=3, timeout_s=0.3) as client:
        with pytest.raises(EngineError, match=said):
            client.complete(REQUEST)


def test_a_dead_replica_does_not_stop_the_others() -> None:
    with (
        fake_server(Behaviour()) as url,
        client_of(url, "http://127.0.0.1:9", dialect="vllm", model="fake") as c,
    ):
        found = dict(c.complete_all([REQUEST] * 8))
        assert sorted(found) == list(range(8))
        assert c.answered == (8, 0)


def test_replicas_share_the_work() -> None:
    with fake_server(Behaviour(stall_s=0.02)) as one, fake_server(Behaviour(stall_s=0.02)) as two:
        with client_of(one, two, concurrency=4) as client:
            dict(client.complete_all([REQUEST] * 16))
            assert min(client.answered) >= 4


def test_the_key_goes_out_and_never_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, "sk-secret")
    behaviour = Behaviour(largest_top=2)
    with fake_server(behaviour) as url, client_of(url) as client:
        with pytest.raises(EngineError) as caught:
            client.complete(REQUEST)
    assert behaviour.headers[-1]["Authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in str(caught.value)
    with pytest.raises(InvalidInput) as caught_early:
        EngineSettings(("http://user:pass@127.0.0.1:1",))
    assert "pass" not in str(caught_early.value)
    assert address_of("https://user:pass@host:1/x?key=1") == "https://host:1"


@pytest.mark.parametrize(
    "changes",
    [{"urls": ()}, {"urls": ("ftp://x",)}, {"urls": ("host:80",)}, {"concurrency": 0}, {"dialect": "vlm"}],
    ids=str,
)
def test_settings_are_checked(changes: dict) -> None:
    with pytest.raises(InvalidInput):
        EngineSettings(**{"urls": ("http://127.0.0.1:1",), **changes})


def run(url: str, folder, top: int = 0, temperature: float = 1.0, **changes: object):
    settings = ProfileSettings(max_tokens=16, batch_size=2, sampling=SamplingSettings(temperature))
    with client_of(url, **changes) as client:
        return profile_engine(client, PROMPTS, settings, folder, top)


def test_a_profile_holds_what_the_server_stated(tmp_path) -> None:
    with fake_server(Behaviour()) as url:
        profile = run(url, tmp_path, top=4)
    assert [text.prompt_id for text in profile.texts] == [prompt.prompt_id for prompt in PROMPTS]
    tops = [top for unit in range(3) for top in read_tops(tmp_path, f"batch-{unit:04d}-top") or ()]
    for text, top in zip(profile.texts, tops, strict=True):
        context = list(text.prompt_token_ids)
        for token, log_prob, row in zip(text.token_ids, text.log_probs, top, strict=True):
            assert log_prob == pytest.approx(np.log(law(context)[token]), abs=1e-12)
            assert len(row) == 4
            context.append(token)
        assert text.ended == (text.token_ids[-1] == END)
        assert text.entropies is None
    assert profile.step_laws["qa"].mu == pytest.approx(
        -np.concatenate([t.log_probs for t in profile.texts]).mean()
    )
    assert "127.0.0.1" not in (tmp_path / "plan.json").read_text()


def test_a_killed_profile_goes_on(tmp_path) -> None:
    """The server dies for good after some answers; the next run asks only for the units that are missing."""
    behaviour = Behaviour()
    with fake_server(behaviour) as url:
        whole = run(url, tmp_path / "whole")
    with fake_server(Behaviour(fail=[])) as url:
        broken = Behaviour()
        with fake_server(broken) as other, client_of(other, attempts=1, concurrency=1) as client:
            original = client.complete

            def dying(request: CompletionRequest):
                if len([body for body in broken.asked if "prompt" in body]) >= 4:
                    broken.fail = [500] * 50
                return original(request)

            client.complete = dying
            settings = ProfileSettings(max_tokens=16, batch_size=2)
            with pytest.raises(EngineError):
                profile_engine(client, PROMPTS, settings, tmp_path / "killed")
        finished = len(list((tmp_path / "killed").glob("*tokens.parquet")))
        assert 1 <= finished < 3
        resumed = Behaviour()
        with fake_server(resumed) as again:
            profile = run(again, tmp_path / "killed")
        asked = [body for body in resumed.asked if body.get("max_tokens") == 16]
        assert len(asked) == 2 * (3 - finished)
    for one, other in zip(profile.texts, whole.texts, strict=True):
        np.testing.assert_array_equal(one.log_probs, other.log_probs)
        assert one.token_ids == other.token_ids


def test_another_model_under_way_is_refused(tmp_path) -> None:
    behaviour = Behaviour()
    with fake_server(behaviour) as url, client_of(url) as client:
        original = client.complete

        def changing(request: CompletionRequest):
            behaviour.model = "other" if request.max_tokens > 1 else "fake"
            return original(request)

        client.complete = changing
        with pytest.raises(EngineError, match="another model answered"):
            profile_engine(client, PROMPTS, ProfileSettings(max_tokens=4), tmp_path)


def test_another_model_does_not_go_on_with_the_records(tmp_path) -> None:
    with fake_server(Behaviour()) as url:
        run(url, tmp_path)
    with fake_server(Behaviour(model="other")) as url, pytest.raises(StorageError, match="engine"):
        run(url, tmp_path)


def test_log_probs_before_temperature_are_refused_where_they_matter(tmp_path) -> None:
    with fake_server(Behaviour(raw_log_probs=True)) as url:
        run(url, tmp_path / "at 1")
        with pytest.raises(EngineError, match="processed"):
            run(url, tmp_path / "warm", temperature=0.7)
    with fake_server(Behaviour()) as url:
        run(url, tmp_path / "processed", temperature=0.7)


def test_fewer_log_probs_than_tokens_are_refused() -> None:
    def truncated(body: dict, behaviour: Behaviour) -> dict:
        answer = json.loads(json.dumps(real(body, behaviour)))
        answer["choices"][0]["logprobs"]["token_logprobs"].pop()
        answer["choices"][0]["logprobs"]["top_logprobs"].pop()
        return answer

    from engines import fake_server as module

    real = module.completion
    module.completion = truncated
    try:
        with fake_server(Behaviour()) as url, client_of(url) as client:
            with pytest.raises(EngineError, match="log-probabilities for"):
                client.complete(REQUEST)
    finally:
        module.completion = real


def test_later_turns_are_asked_after_the_answers_to_earlier_ones(tmp_path) -> None:
    prompts = (Prompt("chat-1", "chat", ("aaa bb", "cccc", "a")), Prompt("chat-2", "chat", ("bb bb",)))
    with fake_server(Behaviour()) as url, client_of(url) as client:
        profile = profile_engine(client, prompts, ProfileSettings(max_tokens=3), tmp_path)
    assert [(text.prompt_id, text.turn) for text in profile.texts] == [
        ("chat-1", 1),
        ("chat-1", 2),
        ("chat-1", 3),
        ("chat-2", 1),
    ]
    before: list[int] = []
    for text, question in zip(profile.texts[:3], ([3, 2], [4], [1]), strict=True):
        before += question
        assert list(text.prompt_token_ids) == before
        before += [token for token in text.token_ids if token]


@pytest.mark.parametrize(
    ("temperature", "found"), [(1.0, "neutral"), (0.3, "they change the law")], ids=["neutral", "changed"]
)
def test_sampling_defaults_are_found_by_one_seed(temperature: float, found: str) -> None:
    """Where the server does not say them."""
    with fake_server(Behaviour(default_temperature=temperature)) as url, client_of(url) as client:
        (finding,) = [one for one in check_engine(client, (3, 4)) if one.name == "sampling defaults"]
    assert finding.found == found
