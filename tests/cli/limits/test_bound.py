import json
from math import log
from pathlib import Path

import pytest

from speclight.cli.main import main
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from toys import tiny_target

# The names a profile must give, as promised in the command's documentation.
STATEMENTS = (
    "trivial",
    "theorem_1",
    "sharpened_theorem_1",
    "two_moments",
    "two_moments_lower",
    "leaf_entropy",
    "renewal",
    "ergodic_renewal",
    "ergodic_renewal_stratified",
    "markov_renewal",
    "limit",
    "lemma_6",
    "lemma_7_printed",
    "lemma_7_corrected",
)

# Llama-3.1-8B on HumanEval, arXiv 2512.11718v1, Table 1; four decimals are what the table's inputs carry.
TABLE_1_ROW = ["bound", "--mu", "0.279", "--mu2", "0.777"]
FOUR_DECIMALS = 5e-5


def test_json_has_the_documented_shape(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TABLE_1_ROW, "--budget", "60", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    document = json.loads(captured.out)
    assert list(document) == ["schema", "node_budget", "bounds", "best_upper"]
    assert (document["schema"], document["node_budget"]) == (2, 60)
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


def test_best_upper_depends_on_what_is_granted(capsys: pytest.CaptureFixture[str]) -> None:
    """Two moments bound nothing for a real model but trivially; with i.i.d. contexts the sharpest wins."""
    assert main([*TABLE_1_ROW, "--budget", "60", "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best_upper"]
    assert best["real_model"] == {"name": "trivial", "value": 60.0}
    assert best["iid_contexts"]["name"] == "two_moments"
    assert best["iid_contexts"]["value"] == pytest.approx(19.68, abs=5e-3)


def test_lemma_7_needs_a_drafter(capsys: pytest.CaptureFixture[str]) -> None:
    drafter = ["--cross-entropy", "0.4", "--miss-probability", "0.05"]
    own = ["--drafter-mu", "0.3", "--drafter-mu2", "0.8"]
    assert main([*TABLE_1_ROW, "--budget", "60", *drafter, *own, "--json"]) == 0
    values = {bound["name"]: bound["value"] for bound in json.loads(capsys.readouterr().out)["bounds"]}
    # The printed form reads the drafter's cross-entropy given a hit: 0.4/0.95.
    assert values["lemma_7_printed"] == pytest.approx(min(20.0, log(60) * 0.95 / 0.4), rel=1e-12)
    assert values["lemma_7_corrected_leading_order"] == pytest.approx(1 / (0.4 / log(60) + 0.05), rel=1e-12)
    assert 1.0 <= values["lemma_7_corrected_two_moments"] < values["lemma_7_corrected_leading_order"]
    assert "lemma_7_corrected" not in values  # the drafter's whole law is not known


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--mu and --mu2, or --profile"),
        (["--mu", "1"], "got --mu"),
        (["--mu", "1", "--mu2", "2", "--profile", "nowhere"], "not several"),
        (["--mu", "1", "--mu2", "2", "--drafter-mu", "1"], "--drafter-mu2"),
        (["--mu", "1", "--mu2", "2", "--miss-probability", "0.1"], "--cross-entropy"),
        (["--profile", "nowhere"], "nowhere"),
        (["--mu", "1", "--mu2", "2", "--plot", "picture.jpg"], "picture.jpg"),
    ],
)
def test_what_does_not_go_together_exits_2(
    arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bound", "--budget", "8", *arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert named in captured.err


@pytest.fixture(scope="module")
def profile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile of a toy target: three prompts of two families, long enough for budgets up to 8."""
    model = tiny_target(vocabulary_size=5, seed=2, end_of_text=frozenset({4}))
    folder = tmp_path_factory.mktemp("profile")
    prompts = tuple(Prompt(f"p{i}", "odd" if i % 2 else "even", (f"t{i % 4}",)) for i in range(12))
    settings = ProfileSettings(samples=2, max_tokens=24, batch_size=8)
    run_profile(model, prompts, settings, folder)
    return folder


def test_a_profile_gives_every_statement_per_family(
    profile_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "bounds.svg"
    arguments = ["bound", "--profile", str(profile_folder), "--budget", "4,8", "--strata", "2"]
    drafter = ["--cross-entropy", "1.2", "--drafter-profile", str(profile_folder)]
    assert main([*arguments, *drafter, "--plot", str(figure), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["families"]) == ["even", "odd"]
    for family in document["families"].values():
        assert [item["node_budget"] for item in family] == [4, 8]
        for item in family:
            assert list(item)[:2] == ["node_budget", "decodes"]
            decodes = item["decodes"]
            assert 1.0 <= decodes["certified"]["value"] < decodes["decode_bound_held"]["value"]
            assert decodes["decode_bound_held"]["value"] <= decodes["decode_bound"]["value"]
            assert decodes["decode_bound"]["value"] <= item["node_budget"]
            assert 0.98 < decodes["decode_bound_over_walk"]["value"] < 1.3
            chains = decodes["chains"]
            assert 1.0 <= chains["certified"]["value"] <= chains["chain_bound"]["value"]
            assert chains["endless_chains"] is None  # this profile kept no laws
            # No chain does more than the best decode; both are estimates, on a few short texts.
            assert chains["chain_bound"]["value"] <= decodes["decode_bound"]["upper_limit"]
            by_name = {bound["name"]: bound for bound in item["bounds"]}
            assert set(STATEMENTS) <= set(by_name)
            assert by_name["ergodic_renewal"]["standard_error"] > 0
            for bound in by_name.values():
                assert bound["side"] != "upper" or 1.0 <= bound["value"] <= item["node_budget"]
                if "i.i.d. contexts: not a bound for a real model" in bound["assumptions"]:
                    assert bound["name"] != item["best_upper"]["real_model"]["name"]
    assert figure.read_bytes().count(b"<svg") == 1


def test_one_family_of_a_profile_as_a_table(profile_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bound", "--profile", str(profile_folder), "--budget", "4", "--families", "odd"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("odd: the limit of a decode at P = 4 lies between")
    assert "odd: expected tokens" in out
    assert "even" not in out
    assert "best_upper for a real model" in out
    assert main(["bound", "--profile", str(profile_folder), "--budget", "4", "--families", "none"]) == 2
    assert "even, odd" in capsys.readouterr().err


def test_families_taken_together_are_one(profile_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bound", "--profile", str(profile_folder), "--budget", "4", "--together", "--json"]
    assert main(arguments) == 0
    (family,) = json.loads(capsys.readouterr().out)["families"].items()
    assert family[0] == "all families"
    assert main([*arguments, "--families", "none"]) == 2
    assert main(["bound", "--mu", "1", "--mu2", "2", "--budget", "4", "--together"]) == 2
    assert "--profile" in capsys.readouterr().err


def test_texts_too_short_for_a_budget_are_refused(
    profile_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bound", "--profile", str(profile_folder), "--budget", "64"]) == 2
    assert "longer texts" in capsys.readouterr().err


def test_several_budgets_give_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TABLE_1_ROW, "--budget", "8,16,60", "--json"]) == 0
    documents = json.loads(capsys.readouterr().out)
    assert [document["node_budget"] for document in documents] == [8, 16, 60]
    assert [document["schema"] for document in documents] == [2, 2, 2]
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
    assert out.splitlines()[0] == (
        "At P = 60 at most 19.68 tokens per call if contexts were independent (two_moments); "
        "for a real model nothing below P follows."
    )
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
        ("1", "2", "8,", "got ''"),
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


def test_budgets_are_read_in_order_between_commas_or_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    def budgets(*arguments: str) -> list[int]:
        assert main(["bound", "--mu", "1", "--mu2", "2", *arguments, "--json"]) == 0
        return [document["node_budget"] for document in json.loads(capsys.readouterr().out)]

    assert budgets("--budget", "8,4,8") == [8, 4, 8]
    assert budgets("--budget", "8", "--budget", "4,16") == [8, 4, 16]
    for wrong in ("", "8,x", "8.5", "1e3"):
        assert main(["bound", "--mu", "1", "--mu2", "2", "--budget", wrong]) == 2
        assert "--budget" in capsys.readouterr().err
