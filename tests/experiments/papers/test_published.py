"""The paper's Table 1: typed in right, and shown in the documentation as the command prints it."""

from pathlib import Path

import numpy as np
import pytest

from speclight.cli.main import main
from speclight.experiments.papers.published import SYSTEMS, TABLE_1
from speclight.experiments.papers.systems import published_values, systems_beside_limits

DOCUMENT = Path(__file__).parents[3] / "docs" / "results" / "published.md"


def test_every_mean_is_that_of_its_rows():
    """The paper prints three decimals, so a mean of five agrees to 0.001."""
    targets = list(dict.fromkeys(row.target for row in TABLE_1))
    assert len(targets) == 4
    for target in targets:
        *rows, mean = [row for row in TABLE_1 if row.target == target]
        assert (len(rows), mean.data) == (5, "mean")
        assert np.mean([row.mu for row in rows]) == pytest.approx(mean.mu, abs=1.01e-3)
        assert np.mean([row.mu2 for row in rows]) == pytest.approx(mean.mu2, abs=5.1e-3)


def test_values_of_two_rows():
    """By hand from the closed forms: Llama-3.1-8B on HumanEval and the mean of Llama-3.3-70B, P = 60."""
    by_name = {(row.target, row.data): row for row in TABLE_1}
    first = published_values(by_name["Llama-3.1-8B", "HumanEval"], 60)
    assert list(first.values()) == pytest.approx([31.72, 30.83, 19.68, 4.71, 14.68], abs=6e-3)
    large = published_values(by_name["Llama-3.3-70B", "mean"], 60)
    assert large["theorem_1"] == pytest.approx(36.90, abs=6e-3)
    assert large["two_moments"] == pytest.approx(26.21, abs=6e-3)
    assert large["two_moments"] < large["limit"] == pytest.approx(26.76, abs=6e-3)


def test_the_documentation_shows_what_the_command_prints(capsys):
    assert main(["reproduce", "published"]) == 0
    assert capsys.readouterr().out.strip() in DOCUMENT.read_text(encoding="utf-8")


def test_systems_beside_limits():
    """Every published system has moments; those above ln(P)/mu show that it is no limit at P = 60."""
    rows = systems_beside_limits()
    assert len(rows) == len(SYSTEMS) == 15
    (first,) = [row for row in rows if (row.target, row.data) == ("Llama-3.1-8B", "MT-bench")]
    assert (first.tokens_per_call, first.drafter) == (4.24, "EAGLE-3")
    assert first.limits["limit"] == pytest.approx(3.76, abs=6e-3)
    assert first.above_leading_term
    assert first.share_of_two_moments == pytest.approx(4.24 / 9.39, abs=2e-3)
    assert not any(row.tokens_per_call > row.limits["two_moments"] for row in rows)
