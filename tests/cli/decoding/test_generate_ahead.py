"""`speclight generate --draft-ahead`."""

import pytest

from speclight.cli.decoding import generate as command
from speclight.cli.main import main
from toys import tiny_target

RUN = ["generate", "--raw", "--prompt", "t1 t2 t3", "--max-tokens", "12", "--budget", "4"]
EXIT = ["--drafter", "layer_skip", "--layers", "1"]


@pytest.fixture(autouse=True)
def toy(runs_on):
    runs_on(tiny_target(vocabulary_size=5, seed=1), command)


def test_the_text_is_the_same_and_what_it_brought_is_told(capsys, run_json):
    plain, _ = run_json(*RUN, *EXIT)
    ahead, _ = run_json(*RUN, *EXIT, "--draft-ahead")
    assert ahead["token_ids"] == plain["token_ids"]
    assert ahead["tokens_by_call"] == plain["tokens_by_call"]
    assert "draft_ahead" not in plain
    told = ahead["draft_ahead"]
    assert told["nodes"] >= told["used"] >= 0
    assert main([*RUN, *EXIT, "--draft-ahead"]) == 0
    assert "drafting ahead:" in capsys.readouterr().out


def test_a_drafter_that_cannot_is_refused(capsys):
    assert main([*RUN, "--drafter", "ngram", "--draft-ahead"]) == 2
    message = capsys.readouterr().err
    assert "--draft-ahead" in message
    assert "got draft_ahead with the drafter 'ngram'" in message
