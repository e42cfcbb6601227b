"""What a trace holds at one start, against plain passes: no cache, tree, mask, batch or memory of laws."""

from functools import cache

import numpy as np
import pytest

import toys
from cases import thinned
from speclight.decoding.noise_streams import SeededNoise
from speclight.drafting.along_text import AlongText
from speclight.drafting.drafter_choices import Eagle3, LayerSkip, Model, NGram, Oracle
from speclight.drafting.drafters import law_source
from speclight.drafting.eagle3.law import Eagle3Law
from speclight.drafting.eagle3.loading import load_head
from speclight.drafting.growth_start import growth_start
from speclight.drafting.layer_skip import early_exit
from speclight.drafting.tree_names import read_tree
from speclight.errors import ContextOverflow, InvalidInput
from speclight.measure.profile import ProfiledText, ProfileSettings
from speclight.measure.profile_run import run_profile
from speclight.measure.prompts import shipped_prompts
from speclight.measure.trace.along import traced_starts
from speclight.measure.trace.regrown import regrown
from speclight.measure.trace.settings import TraceSettings
from speclight.measure.true_limit import oracle_contexts
from speclight.models.sampling import SamplingSettings
from toy_heads import VOCABULARY as HEAD_VOCABULARY
from toy_heads import write_head
from toys import as_target, tiny_llama, tiny_target

VOCABULARY, END = 7, 6
# Float64 models; passes of different lengths differ by the order of float64 sums.
ATOL = 1e-10
GROWTHS = (
    "best_first",
    "eagle2",
    "eagle2=2,2,1",
    "static=0.4,0.3",
    "static=0.3,0.4",  # its optima at small budgets are no parts of those at large ones
    "threshold=0.05",
    "chain",
    "batch",
)
SETTINGS = TraceSettings(node_budgets=(1, 3, 6, 11), growths=GROWTHS, lookahead=4)
LAW = SamplingSettings()
PROMPT, SAMPLED = (0, 1, 2), (0, 1, 3, 5, 1, 2, 0, 4, 1, 3, END)
STARTS = (0, 1, 2, 5, 10)


@pytest.fixture(scope="module")
def target():
    return tiny_target(VOCABULARY, seed=3, end_of_text=frozenset({END}))


@pytest.fixture(scope="module")
def text(target):
    laws = [law_after(target, [*PROMPT, *SAMPLED[:place]]) for place in range(len(SAMPLED))]
    return written(PROMPT, SAMPLED, [law[token] for law, token in zip(laws, SAMPLED, strict=True)])


@pytest.fixture(scope="module")
def choices(target):
    """Drafters by name, and for each the model whose law it drafts from."""
    model = tiny_target(VOCABULARY, seed=8)
    return {"model": (Model(model), model), "layer_skip": (LayerSkip(1), early_exit(target, 1))}


@pytest.fixture(scope="module")
def traced(target, text, choices):
    sources = {name: law_source(choice, target) for name, (choice, _) in choices.items()}
    sources["ngram"] = law_source(NGram(), target)
    return traced_starts(target, text, STARTS, sources, SETTINGS, LAW)


@cache
def _law(model, token_ids):
    return toys.law_after(model, list(token_ids))


def law_after(model, token_ids):
    """By a plain pass, one for each text: the models here stay as they are."""
    return _law(model, tuple(token_ids))


def written(prompt, sampled, probabilities=None):
    log_probs = np.zeros(len(sampled)) if probabilities is None else np.log(probabilities)
    return ProfiledText("p", "toy", 0, tuple(prompt), tuple(sampled), log_probs, None, None, False)


def token_paths(tree) -> list[tuple[int, ...]]:
    paths: list[tuple[int, ...]] = [()]
    for node in range(1, len(tree)):
        paths.append((*paths[tree.parents[node]], int(tree.tokens[node])))
    return paths


@pytest.mark.parametrize("name", ["model", "layer_skip"])
def test_every_node_has_the_laws_and_the_rank_of_plain_passes(target, text, choices, traced, name):
    drafter = choices[name][1]
    for start in traced:
        tree = start.drafters[name].tree
        before = [*PROMPT, *SAMPLED[: start.start]]
        assert tree.tokens[0] == before[-1]
        assert (tree.parents[0], tree.depths[0], tree.ranks[0]) == (-1, 0, -1)
        assert tree.drafter_log_probs[0] == tree.target_log_probs[0] == 0.0
        assert (np.diff(tree.depths) >= 0).all()
        for node, path in enumerate(token_paths(tree)):
            if node == 0:
                continue
            assert tree.depths[node] == len(path)
            q = law_after(drafter, [*before, *path[:-1]])
            p = law_after(target, [*before, *path[:-1]])
            assert abs(tree.drafter_log_probs[node] - np.log(q[path[-1]])) < ATOL
            assert abs(tree.target_log_probs[node] - np.log(p[path[-1]])) < ATOL
            assert path[-1] != END
            assert tree.ranks[node] == (q[:END] > q[path[-1]]).sum()


@pytest.mark.parametrize("name", thinned(["layer_skip", "ngram", "model"], 2))
def test_the_union_is_that_of_each_growth_alone_and_costs_are_its_own(target, text, choices, traced, name):
    for start in traced[1::2]:
        paths, costs = set(), iter(start.drafters[name].costs)
        for growth, budget in SETTINGS.trees:
            source = law_source(choices[name][0] if name in choices else NGram(), target)
            along = AlongText(source, [*PROMPT, *SAMPLED])
            along.stop(len(PROMPT) + start.start, None)
            begin = growth_start(read_tree(growth, "deterministic"), target)
            draft = along.drafted(begin(along.root, budget, SeededNoise(0).for_draft()))
            paths |= set(token_paths(draft.tree))
            cost = next(costs)
            assert (cost.growth, cost.node_budget) == (growth, budget)
            assert (cost.calls, cost.expanded_nodes) == (draft.cost.calls, draft.cost.expanded_nodes)
        found = token_paths(start.drafters[name].tree)
        assert len(found) == len(set(found))
        assert set(found) == paths


def test_chains_end_where_the_coupling_bound_does():
    assert [each for each in SETTINGS.trees if each[0] == "chain"] == [
        ("chain", 1),
        ("chain", 3),
        ("chain", 5),
    ]
    assert len(SETTINGS.trees) == len(GROWTHS) * 4 - 1


@pytest.mark.parametrize("growth", GROWTHS)
def test_each_tree_can_be_grown_again_from_the_trace(target, text, choices, traced, growth):
    """As the drafter grew it, and worth what plain passes of the target say (Lemma 1)."""
    begin = growth_start(read_tree(growth, "deterministic"), target)
    along = AlongText(law_source(choices["model"][0], target), [*PROMPT, *SAMPLED])
    for start in traced:
        along.stop(len(PROMPT) + start.start, None)
        for budget in (budget for name, budget in SETTINGS.trees if name == growth):
            drafted = along.drafted(begin(along.root, budget, SeededNoise(0).for_draft())).tree
            noise = SeededNoise(0).for_draft()
            again = regrown(start.drafters["model"].tree, begin(along.root, budget, noise))
            alone = regrown(start.drafters["ngram"].tree, begin(along.root, 1, noise))
            assert alone.target_path_log_probs.tolist() == [0.0]
            assert again.tree.tokens.tolist() == drafted.tokens.tolist()
            assert again.tree.parents.tolist() == drafted.parents.tolist()
            np.testing.assert_allclose(again.tree.log_probs, drafted.log_probs, rtol=0, atol=ATOL)
        before = [*PROMPT, *SAMPLED[: start.start]]
        for path, log_prob in zip(token_paths(again.tree), again.target_path_log_probs, strict=True):
            steps = [law_after(target, [*before, *path[:n]])[token] for n, token in enumerate(path)]
            assert abs(log_prob - np.log(steps).sum()) < ATOL


def test_the_best_tree_is_the_oracles(target, traced):
    roots = [len(PROMPT) + start - 1 for start in STARTS]
    contexts = oracle_contexts(target, [*PROMPT, *SAMPLED], roots, 11, LAW)
    for start, context in zip(traced, contexts, strict=True):
        np.testing.assert_allclose(start.best, context.path_log_probs, rtol=0, atol=ATOL)
        assert start.best_depths.tolist() == context.depths.tolist()


def test_a_drafter_that_is_the_target_drafts_the_best_tree(target, text):
    sources = {"oracle": law_source(Oracle(), target)}
    best_first = TraceSettings(node_budgets=(11,), growths=("best_first",))
    for start in traced_starts(target, text, STARTS, sources, best_first, LAW):
        tree = start.drafters["oracle"].tree
        np.testing.assert_allclose(np.sort(tree.target_path_log_probs), np.sort(start.best), atol=ATOL)
        np.testing.assert_allclose(tree.drafter_log_probs, tree.target_log_probs, rtol=0, atol=ATOL)


def test_the_coupling_bound_is_that_of_the_text_ahead(target, text, choices, traced):
    for name, (_, drafter) in choices.items():
        for start in traced:
            ahead = SAMPLED[start.start : start.start + SETTINGS.lookahead]
            p = q = 1.0
            expected = []
            for depth, token in enumerate(ahead):
                before = [*PROMPT, *SAMPLED[: start.start + depth]]
                p *= law_after(target, before)[token]
                q *= 0.0 if token == END else law_after(drafter, before)[token]
                expected.append(min(1.0, q / p))
            np.testing.assert_allclose(start.drafters[name].coupling, expected, rtol=1e-9, atol=0)


def test_starts_know_their_text_and_their_neighbours(traced):
    assert [start.start for start in traced] == list(STARTS)
    assert [start.window for start in traced] == [0, 0, 0, 1, 2]
    assert traced[3].following == SAMPLED[5:16]
    assert all(
        (start.prompt_id, start.family, start.sample, start.turn) == ("p", "toy", 0, 1) for start in traced
    )


def test_starts_do_not_depend_on_which_others_are_traced(target, text, choices, traced):
    """Nor on how many nodes are scored together."""
    for place, start in enumerate(STARTS):
        sources = {"model": law_source(choices["model"][0], target)}
        (alone,) = traced_starts(target, text, [start], sources, SETTINGS, LAW)
        assert alone.best_depths.tolist() == traced[place].best_depths.tolist()
        one, among = alone.drafters["model"].tree, traced[place].drafters["model"].tree
        assert one.tokens.tolist() == among.tokens.tolist()
        np.testing.assert_allclose(one.target_log_probs, among.target_log_probs, rtol=0, atol=ATOL)


def test_many_nodes_are_scored_in_parts(target, text, choices, traced, monkeypatch):
    for module, name in (("scored", "MOST_NODES_HELD"), ("scored", "LARGEST_PASS")):
        monkeypatch.setattr(f"speclight.measure.trace.{module}.{name}", 3)
    sources = {"model": law_source(choices["model"][0], target)}
    for start, whole in zip(traced_starts(target, text, STARTS, sources, SETTINGS, LAW), traced, strict=True):
        one, other = start.drafters["model"].tree, whole.drafters["model"].tree
        np.testing.assert_allclose(one.target_log_probs, other.target_log_probs, rtol=0, atol=ATOL)


def test_at_temperature_0_the_target_is_certain(target, choices):
    sampled: list[int] = []
    for _ in range(8):
        sampled.append(int(law_after(target, [*PROMPT, *sampled]).argmax()))
    sources = {name: law_source(choice, target) for name, (choice, _) in choices.items()}
    greedy = SamplingSettings(temperature=0.0)
    text = written(PROMPT, sampled)
    for start in traced_starts(target, text, (0, 1, 4), sources, SETTINGS, greedy):
        assert start.best.tolist() == [0.0] * len(start.best)
        assert start.best_depths.tolist() == list(range(len(start.best)))
        for drafter in start.drafters.values():
            tree = drafter.tree
            assert set(tree.target_log_probs.tolist()) <= {0.0, -np.inf}
            followed = tree.followed(start.following)
            on_text = tree.depths <= len(start.following)
            assert (np.isfinite(tree.target_path_log_probs) == followed)[on_text].all()
            assert np.isfinite(tree.drafter_log_probs).all()  # its own law is that of temperature 1


def test_a_text_after_one_token_and_no_candidates_anywhere(tmp_path):
    """A head has no features there, prompt lookup nothing to look up: root-only trees, and a best tree."""
    target = as_target(tiny_llama(HEAD_VOCABULARY, layers=6))
    head = load_head(write_head(tmp_path, "SpecForge"), target)
    sources = {
        "eagle3": Eagle3Law("eagle3", head.network, head.target_ids),
        "ngram": law_source(NGram(), target),
    }
    first, second = traced_starts(target, written([5], [1, 2, 3]), [0, 1], sources, SETTINGS, LAW)
    for name in sources:
        assert len(first.drafters[name].tree) == 1
        assert first.drafters[name].coupling.tolist() == [0.0] * 3
    assert len(second.drafters["eagle3"].tree) > 1
    assert len(second.drafters["ngram"].tree) == 1
    assert len(first.best) == 11


def test_without_drafters_there_is_the_best_tree_alone(target, text, traced):
    for start, whole in zip(traced_starts(target, text, STARTS, {}, SETTINGS, LAW), traced, strict=True):
        assert start.drafters == {}
        np.testing.assert_allclose(start.best, whole.best, rtol=0, atol=ATOL)


@pytest.mark.parametrize("starts", [(), (3, 3), (4, 2), (-1,), (11,)])
def test_starts_that_cannot_be(target, text, starts):
    with pytest.raises(InvalidInput, match="ascending order"):
        traced_starts(target, text, starts, {}, SETTINGS, LAW)


def test_trees_that_leave_the_window_are_told(choices):
    small = tiny_target(VOCABULARY, seed=3, window=20)
    with pytest.raises(ContextOverflow):
        traced_starts(small, written(PROMPT, [0] * 16), [15], {}, SETTINGS, SamplingSettings(0.0))


@pytest.mark.slow
@pytest.mark.model
def test_on_the_default_target_log_probs_are_those_of_plain_scoring(default_target, tmp_path):
    """Float32: log-probabilities of a tree pass and of a plain one differ by rounding alone."""
    model = default_target
    settings = ProfileSettings(max_tokens=12)
    (text,) = run_profile(model, shipped_prompts(("code",))[:1], settings, tmp_path).texts
    wanted = TraceSettings(node_budgets=(8,), growths=("best_first", "chain"), lookahead=3)
    sources = {"eagle3": law_source(Eagle3(), model)}
    token_ids = [*text.prompt_token_ids, *text.token_ids]
    for start in traced_starts(model, text, (3, 4), sources, wanted, LAW):
        tree = start.drafters["eagle3"].tree
        paths = token_paths(tree)
        for node in range(1, len(tree)):
            before = [*token_ids[: len(text.prompt_token_ids) + start.start], *paths[node][:-1]]
            plain = np.log(law_after(model, before)[paths[node][-1]])
            assert abs(tree.target_log_probs[node] - plain) < 2e-3
