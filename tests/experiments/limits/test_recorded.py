"""What was recorded stays below its limits, and a record that claims too much is found.

The decode bound's upper limits are one-sided 95% ones and decodes of these toys lie a third below them; the
coupling bound's false-alarm rate is 1e-3 a chain. Seeds are fixed.
"""

import json
import shutil

import pytest

from speclight.cli.main import main
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.experiments.limits.recorded import BEST_TREE, COUPLING, DECODE, check_records
from speclight.experiments.scores.run import run_score_test
from speclight.experiments.scores.settings import ScoreTestSettings
from speclight.measure.checksums import SUMS_NAME
from speclight.measure.decoded_run.run import DraftedBy, run_decoded
from speclight.measure.decoded_run.settings import DecodedRunSettings
from speclight.measure.oracle_decode import run_oracle_decode
from speclight.measure.profile import ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.trace.run import run_trace
from speclight.measure.trace.settings import TraceSettings
from speclight.verification.rules import RULES
from toys import tiny_target

PROMPTS = tuple(Prompt(f"toy-{number}", "toy", (f"t{number} t2",)) for number in range(5))
DRAFTER = ComparedDrafter("layer_skip", layers=1)


@pytest.fixture(scope="module")
def target():
    return tiny_target(6, seed=3, window=256)


def decoded(target, folder, tree, rule):
    settings = DecodedRunSettings(node_budget=5, max_tokens=20, prompts_per_family=4, rounds=1)
    kind = "race" if rule == "race" else "deterministic"
    run_decoded(
        target, PROMPTS, DraftedBy(DRAFTER, read_tree(tree, kind), tree, RULES[rule]), settings, folder
    )
    return folder


@pytest.fixture(scope="module")
def run(target, tmp_path_factory):
    return decoded(target, tmp_path_factory.mktemp("run") / "run", "best_first", "target_sample")


@pytest.fixture(scope="module")
def records(target, run, tmp_path_factory):
    """Every kind of record that is checked: decodes of three kinds, and a trace with chains of samples."""
    folder = tmp_path_factory.mktemp("records")
    profile = run_profile(target, PROMPTS, ProfileSettings(max_tokens=24), folder / "trace" / "texts")
    traced = TraceSettings(
        (2, 4, 8), ("best_first", "chain"), sampled=("block", "race"), noises=3, lookahead=3, window=6
    )
    trace = run_trace(target, (DRAFTER,), traced, folder / "trace")
    spread = ScoreTestSettings(node_budgets=(4, 8), configurations=3, texts=5, batch_size=5)
    run_score_test(target, trace, {trace.drafters[0]: DRAFTER}, spread, folder / "scores")
    shutil.copytree(folder / "trace" / "texts", folder / "o-texts")
    run_oracle_decode(target, profile, 5, (4, 8), 20, folder / "o-decode")
    shutil.copytree(run, folder / "run")
    decoded(target, folder / "samples", "chain", "race")
    return folder


@pytest.mark.slow
def test_nothing_recorded_exceeds_its_limit(records):
    found = check_records([records])
    assert not found.exceeding
    of = {
        record: {check.bound for check in found.checks if check.record == record}
        for record in ("trace", "scores", "o-decode", "run")
    }
    assert of == {
        "trace": {DECODE, COUPLING, BEST_TREE},
        "scores": {DECODE},
        "o-decode": {DECODE},
        "run": {DECODE},
    }
    assert {check.what for check in found.checks if check.bound == COUPLING} == {
        "layer_skip, chain, block",
        "layer_skip, chain, race",
    }
    (skipped,) = found.unchecked
    assert (skipped.record, skipped.kind) == ("samples", "decoded run")
    for check in found.checks:
        assert 1.0 <= check.reached <= check.node_budget
        assert check.limit <= check.upper


def test_a_record_that_claims_too_much_is_found(run, tmp_path, capsys):
    """Trees of 5 nodes said to be of 1 or 2: the decode made fewer calls than such trees allow."""
    claimed = tmp_path / "claimed"
    shutil.copytree(run, claimed)
    plan = json.loads((claimed / "plan.json").read_text())
    plan["settings"]["node_budget"] = 1
    (claimed / SUMS_NAME).unlink()  # or the change would be found as damage
    (claimed / "plan.json").write_text(json.dumps(plan))
    (wrong,) = check_records([claimed]).exceeding
    assert wrong.limit == wrong.upper == pytest.approx(1.0)
    assert wrong.reached > 1.2
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "limits-check", str(claimed)])
    assert stopped.value.code == 1
    assert "a bug in decode or bound" in capsys.readouterr().out
    assert main(["experiment", "limits-check", str(run), "--json"]) == 0
    assert not any(check["exceeds"] for check in json.loads(capsys.readouterr().out)["checks"])


@pytest.mark.slow
def test_what_cannot_be_checked_says_why(records, tmp_path):
    shutil.copytree(records / "scores", tmp_path / "scores")
    (alone,) = check_records([tmp_path]).unchecked
    assert "name that one (or its trace) too" in alone.reason
    shutil.copytree(records / "o-decode", tmp_path / "alone-decode")
    reasons = {each.record: each.reason for each in check_records([tmp_path]).unchecked}
    assert "alone-texts" in reasons["alone-decode"]
    with pytest.raises(InvalidInput, match=r"plan\.json"):
        check_records([tmp_path / "scores" / "nothing"])


def test_what_is_no_record_is_told(tmp_path, capsys):
    assert main(["experiment", "limits-check"]) == 2
    assert main(["experiment", "limits-check", str(tmp_path / "missing")]) == 2
    capsys.readouterr()
