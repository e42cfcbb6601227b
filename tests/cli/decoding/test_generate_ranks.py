"""`speclight generate --ranks`."""

import pytest

from speclight.cli.decoding import generate as command
from speclight.cli.main import main
from toys import tiny_target

RUN = ["generate", "--raw", "--prompt", "t1 t2 t3", "--drafter", "layer_skip", "--layers", "1"]


@pytest.fixture(autouse=True)
def toy(runs_on):
    runs_on(tiny_target(vocabulary_size=5, seed=1), command)


def test_ranks_of_a_run_stand_in_its_document(capsys, run_json):
    arguments = ["--rule", "race", "--kind", "race", "--max-tokens", "20", "--budget", "4", "--ranks"]
    document, _ = run_json(*RUN, *arguments)
    ranks = document["ranks"]
    assert (ranks["tokens"], ranks["calls"]) == (20, document["calls"])
    assert 0 < ranks["observed"] <= 20
    assert sum(ranks["law"]) == pytest.approx(1.0)
    assert ranks["bound"]["value"] >= document["tokens_per_call"] - 1.0  # a bound on the mean, 20 tokens
    assert main([*RUN, *arguments]) == 0
    assert "H[R]" in capsys.readouterr().out


def test_without_the_flag_there_are_none_and_coins_are_refused(capsys, run_json):
    document, _ = run_json(*RUN, "--max-tokens", "4")
    assert "ranks" not in document
    assert main([*RUN, "--max-tokens", "4", "--rule", "target_sample", "--ranks"]) == 2
    assert "ranks are those of a race" in capsys.readouterr().err
