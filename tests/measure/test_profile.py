"""The profile records what the sampled laws were; checked against laws recomputed by plain passes."""

import shutil

import numpy as np
import pytest

from speclight.errors import InvalidInput, StorageError
from speclight.experiments.demo.family_profiles import family_profile
from speclight.experiments.demo.limit_curves import family_limits
from speclight.measure import public
from speclight.measure.oracle_run import OracleSettings, run_oracle
from speclight.measure.profile import ProfileSettings, read_profile
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.step_histogram import StepHistogram, histograms_table, read_histograms
from speclight.measure.store import RecordFolder, read_table
from speclight.measure.trace.record import read_trace
from speclight.models.sampling import SamplingSettings
from speclight.theory.ergodic.bound import ergodic_renewal
from speclight.theory.laws.likely_tokens import REACH
from toys import laws_along, tiny_target

# Float64 on both sides; entropies are sums of five terms.
VALUE_ATOL = 1e-10
# Half a unit in the last of 24 bits.
FLOAT32_RTOL = 2.0**-24
PROMPTS = tuple(
    Prompt(f"{family}-{number}", family, (" ".join(["t0", "t2", "t3"][: 1 + number % 3]),))
    for family in ("first", "second")
    for number in range(4)
)


@pytest.fixture(scope="module")
def target():
    return tiny_target(vocabulary_size=5, seed=1, end_of_text=frozenset({4}), window=128, layers=1)


@pytest.fixture(scope="module")
def measured(target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    settings = ProfileSettings(samples=2, max_tokens=24, batch_size=3)
    return run_profile(target, PROMPTS, settings, folder), folder


def test_every_token_is_recorded_with_its_law(target, measured):
    profile, _ = measured
    assert len(profile.texts) == 2 * len(PROMPTS)
    for text in profile.texts:
        laws = laws_along(target, text.prompt_token_ids, text.token_ids[:-1])
        for step, (token, law) in enumerate(zip(text.token_ids, laws, strict=True)):
            assert abs(text.log_probs[step] - np.log(law[token])) < VALUE_ATOL
            assert abs(text.entropies[step] + (law * np.log(law)).sum()) < VALUE_ATOL
            assert abs(text.second_log_moments[step] - (law * np.log(law) ** 2).sum()) < VALUE_ATOL
        assert text.ended == (text.token_ids[-1] == 4)
        assert 4 not in text.token_ids[:-1]
        assert text.ended or len(text.token_ids) == 24


def test_many_prompts_show_how_far_they_are_read(target, tmp_path, monkeypatch):
    monkeypatch.setattr("speclight.progress.ITEMS_A_STEP", 3)
    seen = []
    settings = ProfileSettings(max_tokens=2, batch_size=8)
    run_profile(target, PROMPTS, settings, tmp_path, progress=lambda *step: seen.append(step))
    labels = ("counting the tokens of conversations", "counting the prompts' tokens")
    # Each once, and before the first batch.
    assert seen[:4] == [(done, 8, label) for label in labels for done in (3, 6)]
    assert not {label for *_, label in seen[4:]} & set(labels)


def test_laws_are_kept_where_asked_for_and_change_no_other_record(target, measured, tmp_path):
    """Kept laws: every token within reach but the end of text, in float32."""
    profile, folder = measured
    kept = run_profile(target, PROMPTS, profile.settings, tmp_path, keep_laws=True)
    for bare, text in zip(profile.texts, kept.texts, strict=True):
        assert bare.likely is None
        assert bare.token_ids == text.token_ids
        np.testing.assert_array_equal(bare.log_probs, text.log_probs)
        first = text.likely.first
        for step, law in enumerate(laws_along(target, text.prompt_token_ids, text.token_ids[:-1])):
            expected = np.sort(-np.log(law[:4]))
            expected = expected[expected <= REACH]
            found = text.likely.surprisals[first[step] : first[step] + text.likely.kept[step]]
            np.testing.assert_allclose(found, expected, rtol=FLOAT32_RTOL, atol=0)
            assert abs(text.likely.end_probabilities[step] - law[4]) < VALUE_ATOL
    for family in profile.families:
        full, sampled = (ergodic_renewal(some.sampled_texts(family), 8) for some in (kept, profile))
        assert (full.from_laws, sampled.from_laws) == (True, False)
        assert abs(full.value - sampled.value) < 3 * sampled.standard_error
    for path in [folder / "plan.json", *folder.glob("*.parquet")]:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_a_folder_begun_without_laws_is_finished_with_some(target, measured, tmp_path):
    """Records of another version, or of another choice, still resume; estimates then use sampled tokens."""
    profile, folder = measured
    shutil.copytree(folder, tmp_path / "profile")
    for path in (tmp_path / "profile").glob("batch-0001-*"):
        path.unlink()
    mixed = run_profile(target, PROMPTS, profile.settings, tmp_path / "profile", keep_laws=True)
    assert {text.likely is None for text in mixed.texts} == {True, False}
    for family in profile.families:
        mixed_value, value = (
            ergodic_renewal(some.sampled_texts(family), 8).value for some in (mixed, profile)
        )
        assert mixed_value == value


def test_two_samples_of_a_prompt_differ(measured):
    profile, _ = measured
    assert any(
        one.token_ids != other.token_ids
        for one in profile.texts
        for other in profile.texts
        if one.prompt_id == other.prompt_id and one.sample != other.sample
    )


def test_the_step_law_has_the_profiles_moments(measured):
    profile, _ = measured
    for family in profile.families:
        entropies = np.concatenate([text.entropies for text in profile.of_family(family)])
        second = np.concatenate([text.second_log_moments for text in profile.of_family(family)])
        law = profile.step_laws[family]
        assert law.tokens == len(entropies)
        assert abs(law.mu - entropies.mean()) < VALUE_ATOL
        assert abs(law.mu2 - second.mean()) < VALUE_ATOL
        assert law.mass.sum() < 1.0  # end of text is in the moments, never in a bin
        assert abs(law.counts.sum() - 4.0) < VALUE_ATOL  # the four tokens that can be nodes


def test_both_estimators_agree_within_their_errors(measured):
    """Four clusters, t quantile at a false-alarm rate of 1e-3 for each of four comparisons: 12.9 errors."""
    profile, _ = measured
    for family in profile.families:
        summary = family_profile(profile, family)
        for full, sampled in (
            (summary.full_mu, summary.sampled_mu),
            (summary.full_mu2, summary.sampled_mu2),
        ):
            assert full.standard_error is not None
            assert sampled.standard_error is not None
            assert abs(full.value - sampled.value) < 12.9 * (full.standard_error + sampled.standard_error)


def test_reading_back_gives_the_same_profile(measured):
    profile, folder = measured
    again = read_profile(folder)
    assert again.settings == profile.settings
    assert [text.token_ids for text in again.texts] == [text.token_ids for text in profile.texts]


def test_oracle_and_limits_on_a_profile(target, measured, tmp_path):
    profile, _ = measured
    oracle = run_oracle(target, profile, OracleSettings(contexts=10, node_budget=8), tmp_path)
    assert len(oracle.starts) == 20
    again = read_trace(tmp_path)
    assert [start.start for start in again.starts] == [start.start for start in oracle.starts]
    assert again.profile.texts[0].token_ids == profile.texts[0].token_ids
    limits = family_limits(profile, oracle, "first")
    curves = {curve.name: curve for curve in limits.curves}
    assert limits.budgets == tuple(range(1, 9))
    assert curves["oracle"].values[0] == 1.0
    assert list(curves["oracle"].values) == sorted(curves["oracle"].values)
    assert curves["ergodic_renewal"].is_bound_here
    assert not curves["renewal"].is_bound_here
    # Same start law on both sides: the bound may lie below the oracle by sampling error only.
    slack = curves["ergodic_renewal"].highs[-1] - curves["oracle"].lows[-1]
    assert slack > 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"samples": 0}, "samples"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_settings_out_of_range(fields, message):
    with pytest.raises(InvalidInput, match=message):
        ProfileSettings(**fields)


def test_a_profile_of_greedy_texts_is_refused_before_anything_is_sampled(target, tmp_path):
    greedy = ProfileSettings(sampling=SamplingSettings(temperature=0.0))
    with pytest.raises(InvalidInput, match="temperature above 0"):
        public.profile(target, ["t1"], tmp_path, greedy)
    assert not list(tmp_path.iterdir())


def test_texts_too_short_for_the_oracle(target, measured, tmp_path):
    profile, _ = measured
    with pytest.raises(InvalidInput, match="longer texts"):
        run_oracle(target, profile, OracleSettings(node_budget=64), tmp_path)


def test_a_folder_of_something_else(tmp_path, measured):
    _, folder = measured
    with pytest.raises(StorageError, match="kind 'profile', expected 'trace'"):
        read_trace(folder)


@pytest.mark.parametrize(("kind", "command"), [("oracle", "oracle"), ("drafter profile", "drafter-profile")])
def test_records_of_earlier_versions_name_the_command_to_repeat(tmp_path, kind, command):
    RecordFolder(tmp_path, {"kind": kind})
    with pytest.raises(StorageError, match=f"earlier version's `speclight {command}`.*repeat that command"):
        read_trace(tmp_path)


def test_families_share_batches_and_stay_in_the_prompts_order(target, tmp_path):
    prompts = tuple(
        Prompt(f"{family}-{length}", family, ("t3 " * length,))
        for family in ("later", "early")
        for length in (1, 9, 17)
    )
    profile = run_profile(target, prompts, ProfileSettings(max_tokens=6, batch_size=4), tmp_path)
    assert profile.families == ("later", "early")
    assert list(profile.step_laws) == ["later", "early"]
    assert [text.prompt_id for text in profile.texts] == [prompt.prompt_id for prompt in prompts]
    first = read_table(tmp_path, "batch-0000-texts")["family"].to_pylist()
    assert sorted(first) == ["early", "early", "later", "later"]
    for family, law in profile.step_laws.items():
        entropies = np.concatenate([text.entropies for text in profile.of_family(family)])
        assert abs(law.mu - entropies.mean()) < VALUE_ATOL


def test_histograms_of_one_family_a_table_are_read_too(tmp_path):
    laws = np.random.default_rng(0).dirichlet(np.ones(5), 3)
    alone, other = (StepHistogram(family, 5, ()) for family in ("one", "two"))
    alone.add(laws)
    other.add(laws[:1])
    folder = RecordFolder(tmp_path, {"kind": "histograms"})
    folder.write("old", alone.table())
    folder.write("new", histograms_table([alone, other]))
    found = read_histograms(tmp_path, ["old", "new"])
    assert found["one"].step_law().mu == pytest.approx(alone.step_law().mu, rel=1e-12)
    assert found["two"].step_law().mu == pytest.approx(other.step_law().mu, rel=1e-12)
