import json
from math import log

import pytest

from speclight.cli.bound import parse_budgets
from speclight.cli.main import main
from speclight.errors import InvalidInput

# Llama-3.1-8B on HumanEval, arXiv 2512.11718v1, Table 1; four decimals are what the table's inputs carry.
TABLE_1_ROW = ["bound", "--mu", "0.279", "--mu2", "0.777"]
FOUR_DECIMALS = 5e-5


def test_json_has_the_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TABLE_1_ROW, "--budget", "60", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    document = json.loads(captured.out)
    assert list(document) == ["schema", "budget", "bounds"]
    assert (document["schema"], document["budget"]) == (1, 60)
    for bound in document["bounds"]:
        assert list(bound) == ["name", "value", "side", "assumptions", "source"]
        assert bound["side"] in {"upper", "lower", "asymptotic"}
    by_name = {bound["name"]: bound for bound in document["bounds"]}
    assert by_name["theorem_1"]["value"] == pytest.approx(31.7236, abs=FOUR_DECIMALS)
    assert by_name["theorem_1"]["side"] == "upper"
    assert by_name["limit"]["value"] == pytest.approx(log(60) / 0.279, rel=1e-15)  # one rounding apart
    assert by_name["limit"]["side"] == "asymptotic"
    assert by_name["trivial"] == {
        "name": "trivial",
        "value": 60.0,
        "side": "upper",
        "assumptions": [],
        "source": by_name["trivial"]["source"],
    }


def test_several_budgets_give_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TABLE_1_ROW, "--budget", "8,16,60", "--json"]) == 0
    documents = json.loads(capsys.readouterr().out)
    assert [document["budget"] for document in documents] == [8, 16, 60]
    assert [document["schema"] for document in documents] == [1, 1, 1]
    theorem_1 = [
        bound["value"]
        for document in documents
        for bound in document["bounds"]
        if bound["name"] == "theorem_1"
    ]
    assert theorem_1 == sorted(theorem_1)
    assert theorem_1[0] < theorem_1[2]


def test_table_names_every_statement_its_side_and_its_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TABLE_1_ROW, "--budget", "60"]) == 0
    out = capsys.readouterr().out
    for words in ("theorem_1", "31.7236", "at most", "limit", "14.6751", "for large P", "i.i.d.", "trivial"):
        assert words in out


@pytest.mark.parametrize(
    ("mu", "mu2", "budget", "named"),
    [
        ("0", "0.5", "8", "mu = 0"),
        ("-0.1", "0.5", "8", "-0.1"),
        ("nan", "0.5", "8", "nan"),
        ("inf", "0.5", "8", "inf"),
        ("1", "nan", "8", "nan"),
        ("1", "0.99", "8", "Jensen"),
        ("1", "2", "0", "at least 1, got 0"),
        ("1", "2", "8,-3", "at least 1, got -3"),
        ("1", "2", "eight", "'eight'"),
        ("1", "2", "8.5", "'8.5'"),
        ("1", "2", "8,", "'8,'"),
    ],
)
def test_bad_input_exits_2(
    mu: str, mu2: str, budget: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bound", f"--mu={mu}", f"--mu2={mu2}", f"--budget={budget}", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("speclight: error: ")
    assert named in captured.err


def test_a_greedy_target_is_limited_by_the_budget_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bound", "--mu", "0", "--mu2", "0", "--budget", "7", "--json"]) == 0
    values = {bound["value"] for bound in json.loads(capsys.readouterr().out)["bounds"]}
    assert values == {7.0}


def test_budgets_are_read_in_order() -> None:
    assert parse_budgets("60") == (60,)
    assert parse_budgets("8, 4,8") == (8, 4, 8)
    with pytest.raises(InvalidInput, match="--budget 60"):
        parse_budgets("")
