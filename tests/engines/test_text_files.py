"""Limits from files of sampled texts: answers of an engine, of a hosted API, plain objects, Parquet."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import speclight
from engines.fake_server import Behaviour, completion
from speclight.cli.main import main
from speclight.engines.text_files import read_texts, sampled_texts
from speclight.errors import InvalidInput

LIMIT = 40


def answers() -> list[dict]:
    return [
        completion(
            {
                "prompt": [3, number % 7],
                "max_tokens": LIMIT,
                "temperature": 1.0,
                "logprobs": 0,
                "seed": number,
            },
            Behaviour(),
        )
        for number in range(12)
    ]


def lines(path: Path, documents: list[dict]) -> Path:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    return path


def columns(found: list[dict]) -> list[tuple[list[float], bool]]:
    choices = [answer["choices"][0] for answer in found]
    return [(one["logprobs"]["token_logprobs"], one["finish_reason"] == "stop") for one in choices]


def test_files_give_the_limits_of_their_log_probs(tmp_path: Path) -> None:
    found = answers()
    for answer in found:  # as vLLM writes it, which lists the end-of-text token
        answer["choices"][0]["stop_reason"] = None
    log_probs, ended = zip(*columns(found), strict=True)
    assert {True, False} >= set(ended) > set()
    expected = speclight.limits_from_log_probs(log_probs, 4, ended=ended, length_limit=LIMIT)
    plain = [
        {"prompt_id": f"p{n}", "tokens": list(range(len(own))), "log_probs": own, "ended": end}
        for n, (own, end) in enumerate(zip(log_probs, ended, strict=True))
    ]
    rows = [
        {"prompt_id": one["prompt_id"], "log_prob": value, "ended": one["ended"]}
        for one in plain
        for value in one["log_probs"]
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "texts.parquet")
    for path in (
        lines(tmp_path / "answers.jsonl", found),
        lines(tmp_path / "plain.jsonl", plain),
        tmp_path / "texts.parquet",
    ):
        limits = speclight.limits_from_file(path, 4, length_limit=LIMIT)
        assert limits.decode.going_on.value == expected.decode.going_on.value
        assert limits.certified.value == expected.certified.value


def test_an_end_that_a_hosted_api_does_not_list_closes_the_text(tmp_path: Path) -> None:
    path = lines(tmp_path / "answers.jsonl", answers())  # no sign of an engine that lists it
    for text, (log_probs, ended) in zip(sampled_texts(path), columns(answers()), strict=True):
        assert len(text) == len(log_probs) + ended
        np.testing.assert_array_equal(text.surprisals[: len(log_probs)], -np.array(log_probs))


def test_the_command_takes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(lines(tmp_path / "answers.jsonl", answers()))
    given = ["bound", "--log-probs", path, "--length-limit", str(LIMIT), "--budget", "4", "--json"]
    assert main(given) == 0
    document = json.loads(capsys.readouterr().out)
    (bounds,) = document["families"]["answers"]
    assert document["texts"] == "answers.jsonl"
    limits = speclight.limits_from_file(path, 4, LIMIT)
    assert bounds["decodes"]["decode_bound"]["value"] == pytest.approx(limits.decode.going_on.value)
    assert main([*given, "--mu", "1", "--mu2", "2"]) == 2
    assert main(["bound", "--mu", "1", "--mu2", "2", "--length-limit", "9", "--budget", "4"]) == 2
    with pytest.raises(InvalidInput, match="cannot read"):
        speclight.limits_from_file(tmp_path / "nothing.jsonl", 4)


def test_likeliest_tokens_of_a_file_are_kept(tmp_path: Path) -> None:
    """They state the laws that `verify --texts` needs."""
    law = [(-0.2, 7, None), (-2.0, 9, None)]
    about = {"output_token_logprobs": [(-2.0, 9, None)], "output_top_logprobs": [law]}
    path = lines(tmp_path / "sglang.jsonl", [{"text": "x", "meta_info": about}])
    ((_, _, text),) = read_texts(path)
    assert text.token_ids == (9,)
    assert [(one.token, one.log_prob) for one in text.top[0]] == [(7, -0.2), (9, -2.0)]
