"""A trace in its folder: read back as it was made, resumed to equal bytes, refused where it cannot serve."""

import json
import shutil
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafters import law_source
from speclight.errors import InvalidInput, StorageError
from speclight.measure.profile import ProfileSettings, read_profile
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import Prompt
from speclight.measure.store import read_table
from speclight.measure.trace.along import traced_starts
from speclight.measure.trace.record import bytes_per_start, read_trace
from speclight.measure.trace.run import copy_profile, run_trace
from speclight.measure.trace.settings import TraceSettings
from speclight.models.sampling import SamplingSettings
from toys import tiny_target

END = 5
ATOL = 1e-10  # float64 models
PROMPTS = tuple(
    Prompt(f"{family}-{n}", family, tuple(" ".join(["t0", "t2", "t3"][: 1 + n]) for _ in range(1 + n % 2)))
    for family in ("first", "second")
    for n in range(3)
)
SETTINGS = TraceSettings(
    node_budgets=(2, 4, 9),
    growths=("best_first", "eagle2=3,2,2", "chain"),
    window=3,
    windows_per_family=4,
    lookahead=3,
)
DRAFTERS = (ComparedDrafter("ngram"), ComparedDrafter("layer_skip", layers=1))


@pytest.fixture(scope="module")
def target():
    return tiny_target(6, seed=1, end_of_text=frozenset({END}), window=128)


def profiled(target, folder, temperature=1.0, prompts=PROMPTS):
    settings = ProfileSettings(max_tokens=14, batch_size=3, sampling=SamplingSettings(temperature))
    return run_profile(target, prompts, settings, folder)


@pytest.fixture(scope="module")
def whole(target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trace")
    profiled(target, folder / "texts")
    return folder, run_trace(target, DRAFTERS, SETTINGS, folder)


def same_texts(whole, folder):
    """The profile of the whole trace, copied."""
    shutil.copytree(whole[0] / "texts", folder, ignore=shutil.ignore_patterns(".lock"))


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.name != ".lock"
        if path.is_file()
    }


def same_start(one, other):
    """But for the last bits, which depend on what shares a pass."""
    for field in ("prompt_id", "family", "sample", "turn", "start", "window", "following"):
        assert getattr(one, field) == getattr(other, field)
    np.testing.assert_allclose(one.best, other.best, rtol=0, atol=ATOL)
    np.testing.assert_array_equal(one.best_depths, other.best_depths)
    assert list(one.drafters) == list(other.drafters)
    for name, drafter in one.drafters.items():
        again = other.drafters[name]
        assert drafter.costs == again.costs
        np.testing.assert_allclose(drafter.coupling, again.coupling, rtol=0, atol=ATOL)
        for field in fields(drafter.tree):
            got, expected = (getattr(each.tree, field.name) for each in (again, drafter))
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got, expected, rtol=0, atol=ATOL)


def test_what_is_read_is_what_was_traced(target, whole):
    folder, trace = whole
    profile = read_profile(folder / "texts")
    sources = {each.name: law_source(each.choice, target) for each in DRAFTERS}
    texts = {text.key: text for text in profile.texts}
    assert {start.turn for start in trace.starts} == {1, 2}
    by_text = {}
    for start in trace.starts:
        key = (start.prompt_id, start.sample, *([start.turn] if start.turn > 1 else []))
        by_text.setdefault(key, []).append(start)
    for key, read in by_text.items():
        places = [start.start for start in read]
        for one, other in zip(
            traced_starts(target, texts[key], places, sources, SETTINGS, SamplingSettings()),
            read,
            strict=True,
        ):
            same_start(one, other)


def test_the_trace_says_what_it_is(target, whole):
    folder, trace = whole
    assert (trace.target, trace.weights_sha256) == (target.name, target.loaded.weights_sha256)
    assert (trace.families, trace.drafters) == (("first", "second"), ("ngram", "layer_skip"))
    assert (trace.settings, trace.growths, trace.node_budgets) == (SETTINGS, SETTINGS.growths, (2, 4, 9))
    assert trace.sampling == SamplingSettings()
    assert len(trace.profile.texts) == 8
    assert trace.starts == (*trace.of_family("first"), *trace.of_family("second"))
    assert bytes_per_start(folder, trace) > 0


def test_a_start_takes_no_more_than_is_stated(whole):
    """docs/reference/formats.md: before compression; lists have offsets of 4 bytes, rows a name."""
    folder, trace = whole
    drafted = read_table(folder, "text-0000-drafters")
    nodes = sum(map(len, drafted["tokens"].to_pylist()))
    rows, names = len(drafted), 64
    ahead = SETTINGS.lookahead
    most = 28 * nodes + rows * (6 * len(SETTINGS.trees) + 8 * ahead + 4 + 4 + 9 * 8) + names
    assert drafted.nbytes <= most
    starts = [start for start in trace.starts if start.prompt_id == trace.starts[0].prompt_id]
    text = read_table(folder, "text-0000")
    of_starts = sum(12 * len(start.best) + 4 * len(start.following) for start in starts)
    assert text.nbytes <= of_starts + len(text) * (4 * 5 + 2 * 24 + 3 * 8) + names
    # A drafter's nodes are bounded by those of its trees.
    assert nodes <= rows * sum(budget for _, budget in SETTINGS.trees)


def test_a_run_interrupted_at_any_text_resumes_to_equal_bytes(target, whole, tmp_path):
    same_texts(whole, tmp_path / "texts")
    for stop in (1, 4):

        def interrupt(done, total, label, stop=stop):
            if done == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_trace(target, DRAFTERS, SETTINGS, tmp_path, interrupt)
    assert contents(tmp_path) != contents(whole[0])
    run_trace(target, DRAFTERS, SETTINGS, tmp_path)
    (tmp_path / "text-0001.parquet").unlink()
    run_trace(target, DRAFTERS, SETTINGS, tmp_path)
    assert contents(tmp_path) == contents(whole[0])


def test_a_profile_made_elsewhere_gives_the_same_texts_to_trace(target, whole, tmp_path):
    same_texts(whole, tmp_path / "profile")
    copy_profile(read_profile(tmp_path / "profile"), tmp_path / "trace")
    copy_profile(read_profile(tmp_path / "profile"), tmp_path / "trace")
    assert contents(tmp_path / "trace" / "texts") == contents(whole[0] / "texts")
    profiled(target, tmp_path / "cold", 0.5, PROMPTS[:1])
    with pytest.raises(StorageError, match="another profile"):
        copy_profile(read_profile(tmp_path / "cold"), tmp_path / "trace")


def test_greedy_texts_are_traced_too(target, tmp_path):
    profiled(target, tmp_path / "texts", 0.0, PROMPTS[:2])
    trace = run_trace(target, DRAFTERS, SETTINGS, tmp_path)
    assert trace.sampling.temperature == 0.0
    assert all(start.best.tolist() == [0.0] * len(start.best) for start in trace.starts)
    for start in trace.starts:
        followed = start.drafters["layer_skip"].tree.followed(start.following)
        assert np.exp(start.drafters["layer_skip"].tree.target_path_log_probs).sum() >= followed.sum()


def test_another_target_or_plan_is_refused(target, whole, tmp_path):
    folder, _ = whole
    with pytest.raises(StorageError, match="holds the records of another plan"):
        run_trace(target, DRAFTERS[:1], SETTINGS, folder)
    other = tiny_target(6, seed=1, end_of_text=frozenset({END}), window=128)
    other.loaded = replace(other.loaded, weights_sha256="ab" * 32)
    with pytest.raises(InvalidInput, match=r"target toy \(weights None\), expected toy \(abab"):
        run_trace(other, DRAFTERS, SETTINGS, folder)


@pytest.mark.parametrize(("growth", "message"), [("bush", "called 'bush'"), ("lists=2", "gls alone")])
def test_growths_that_cannot_be_are_refused_before_anything_is_traced(
    target, whole, tmp_path, growth, message
):
    same_texts(whole, tmp_path / "texts")
    with pytest.raises(InvalidInput, match=message):
        run_trace(target, DRAFTERS, replace(SETTINGS, growths=(growth,)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["texts"]


def test_truncated_later_and_other_records_are_refused(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path, dirs_exist_ok=True)
    with pytest.raises(StorageError, match="holds records of the kind 'profile', expected 'trace'"):
        read_trace(tmp_path / "texts")
    file = tmp_path / "text-0003-drafters.parquet"
    good = file.read_bytes()
    file.write_bytes(good[:-9])
    with pytest.raises(StorageError, match=r"text-0003-drafters.parquet in .* is damaged"):
        read_trace(tmp_path)
    file.unlink()
    with pytest.raises(StorageError, match="the run was not finished"):
        read_trace(tmp_path)
    file.write_bytes(good)
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["settings"] == json.loads(json.dumps(asdict(SETTINGS)))
    (tmp_path / "plan.json").write_text(json.dumps({**plan, "schema": 3}))
    (tmp_path / "SHA256SUMS").unlink()
    with pytest.raises(StorageError, match="has schema 3, expected 2 or less: a later version"):
        read_trace(tmp_path)
