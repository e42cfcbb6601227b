"""`speclight verify` finds no fault in lossless setups and finds the ones planted."""

import itertools
import json

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import DynamicCache

from cases import thinned
from speclight.cli.decoding import verify as command
from speclight.cli.main import main
from speclight.decoding import losslessness
from speclight.decoding.divergence import (
    NEAR_TIE_LOGITS,
    ROUNDED_ROWS_LOGITS,
    first_divergence,
    near_tie_margin,
    plain_greedy,
    plain_logits,
)
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import generate_from_ids
from speclight.decoding.losslessness import Setup, greedy_test, loop_test, rule_test
from speclight.decoding.settings import AUTO, DecodeSettings
from speclight.decoding.string_law import FALSE_ALARM, POWER, StringLaw, string_test
from speclight.drafting.drafter_choices import NGram
from speclight.drafting.drafter_names import read_drafter
from speclight.drafting.tree_choices import BestFirst, default_tree
from speclight.errors import InvalidInput
from speclight.measure.prompts import shipped_prompts
from speclight.models.compiled_attention import MOST_NEW
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.models.scored_text import ScoredText, score_together
from speclight.trees.draft_tree import DraftTree, root_only
from speclight.verification.rule import default_kind
from speclight.verification.rules import RULES
from speclight.verification.verdict import Verdict
from toys import law_after, tiny_target

PROMPT = [1, 2, 3, 1, 2]
# The string's law by two routes through the same float64 model differs by rounding only.
LAW_ATOL = 1e-12


class FirstChildAlways:
    """Planted fault: the first drafted child is accepted whatever the target says."""

    name, is_lossless, draft_kinds = "target_sample", True, RULES["target_sample"].draft_kinds

    def verify(self, tree: DraftTree, target_laws, noise) -> Verdict:
        children = tree.children(0)
        path = [0, int(children[0])] if len(children) else [0]
        return Verdict(np.array(path), noise.sample(path[-1], target_laws(path[-1])))


def setup(name="target_sample", drafter="ngram"):
    rule = RULES[name]
    return Setup(read_drafter(drafter), default_tree(default_kind(rule)), rule, 6)


FAULTY = Setup(NGram(), BestFirst(), FirstChildAlways(), 6)


def test_the_law_of_strings_is_the_chain_rule_under_top_k():
    target = tiny_target(9, seed=1, layers=1, end_of_text=frozenset({4}))
    law = StringLaw(target, PROMPT, 1.0)

    def top_four(text):
        full = law_after(target, text)
        kept = np.where(full >= np.sort(full)[-4], full, 0.0)
        return kept / kept.sum()

    for string, probability in law.strings.items():
        steps = [top_four([*PROMPT, *string[:depth]])[string[depth]] for depth in range(len(string))]
        assert abs(probability - np.prod(steps)) < LAW_ATOL
        assert 4 not in string[:-1]
        assert len(string) == 3 or string[-1] == 4
    assert abs(sum(law.strings.values()) - 1.0) < LAW_ATOL


@pytest.mark.parametrize("name", thinned(["race", "target_sample", "rejection", "k_seq", "traversal"]))
def test_lossless_rules_pass(name):
    """Fixed seeds, false alarm 1e-4 a test; the rule alone sees total variations of 0.07 with 0.99."""
    target = tiny_target(9, seed=1)  # of two layers: what one of them says is never what was said before
    law = StringLaw(target, PROMPT, 1.0)
    alone = rule_test(target, setup(name), PROMPT, law, 2000)
    assert alone.is_passed
    assert alone.strings == 2000
    loop = loop_test(target, setup(name), PROMPT, law, 60)
    assert loop.strings.impossible == 0
    assert loop.accepted_drafts > 0


def test_planted_faults_fail():
    target = tiny_target(9, seed=1, layers=1)
    law = StringLaw(target, PROMPT, 4.0)  # spread out: the drafted token is far from certain
    assert not rule_test(target, FAULTY, PROMPT, law, 500).is_passed
    assert not loop_test(target, FAULTY, PROMPT, law, 60).strings.is_passed
    greedy = greedy_test(target, FAULTY, [PROMPT], 12)
    assert greedy.bugs == 1
    assert greedy.divergences[0].margin > NEAR_TIE_LOGITS


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_planted_fault_is_no_rounding_in_16_bits(dtype):
    """The margin that rounding is allowed there does not cover a rule that takes any draft."""
    target = tiny_target(9, seed=1, layers=1)
    target.model.to(dtype)
    greedy = greedy_test(target, FAULTY, [PROMPT], 12)
    assert greedy.bugs == 1
    assert greedy.divergences[0].margin > greedy.divergences[0].rounding > NEAR_TIE_LOGITS


def test_a_lossy_rule_fails():
    target = tiny_target(9, seed=1)
    assert not rule_test(target, setup("typical"), PROMPT, StringLaw(target, PROMPT, 1.0), 3000).is_passed


def test_divergences_are_measured_on_plain_logits():
    target = tiny_target(9, seed=1, layers=1)
    plain = plain_greedy(target, PROMPT, 6)
    assert first_divergence(target, PROMPT, plain, plain) is None
    law = np.log(law_after(target, [*PROMPT, *plain[:2]]))
    wrong = [*plain[:2], int(np.argsort(law)[-2]), 0]
    found = first_divergence(target, PROMPT, wrong, plain)
    assert found is not None
    assert found.place == 2
    assert abs(found.margin - (np.sort(law)[-1] - np.sort(law)[-2])) < 1e-9  # float64 rounding of logarithms
    shorter = first_divergence(target, PROMPT, plain[:-1], plain)
    assert shorter is not None
    assert not shorter.is_near_tie


@pytest.mark.parametrize("dtype", thinned([torch.bfloat16, torch.float32, torch.float16]))
def test_rounding_alone_is_no_bug_in_any_type(dtype):
    """What rounding does to plain decoding's best tokens, with and without a cache, is within the margin."""
    target = tiny_target(40, seed=1, layers=1)
    target.model.to(dtype)
    target.model.lm_head.weight.data.mul_(4)  # logits of tens, as large models have them
    rng = np.random.default_rng(0)
    for _ in range(8):
        ids = torch.from_numpy(rng.integers(0, 40, (1, 30)))
        whole = target.model(ids, use_cache=False).logits[0].float()
        cache = DynamicCache(config=target.model.config)
        parts = [target.model(ids[:, i : i + 1], past_key_values=cache).logits[0].float() for i in range(30)]
        best = whole.argmax(dim=1, keepdim=True)
        moved = (torch.cat(parts) - whole).gather(1, best).abs()[:, 0].tolist()
        for difference, size in zip(moved, whole.gather(1, best)[:, 0].tolist(), strict=True):
            assert difference <= near_tie_margin(target, size)


def test_how_far_a_near_tie_reaches():
    target = tiny_target(40, seed=1, layers=1)
    assert near_tie_margin(target, 20.0) == NEAR_TIE_LOGITS
    target.rounds_rows = True
    assert near_tie_margin(target, 20.0) == ROUNDED_ROWS_LOGITS
    target.model.to(torch.bfloat16)
    assert near_tie_margin(target, 20.0) == 8 * 20 * 2.0**-7


@pytest.mark.model
def test_calls_of_the_default_target_differ_by_less_than_a_near_tie(default_target):
    """Tokens read one by one and all at once: not at all up to 64, beyond by roundings."""
    assert default_target.rounds_rows
    ids = default_target.tokenizer.encode("The tides are caused by the moon, and the seasons are not. " * 9)
    for count in (2, 16, MOST_NEW, MOST_NEW + 1):
        one, many = default_target.new_cache(), default_target.new_cache()
        for cache in (one, many):
            default_target.prefill(cache, ids[:40])
        alone = [default_target.read(one, [token]).logits[0, 0] for token in ids[40 : 40 + count]]
        together = default_target.read(many, ids[40 : 40 + count]).logits[0]
        apart = float((torch.stack(alone) - together).abs().max())
        if count <= MOST_NEW:
            assert apart == 0.0
        else:
            assert 0.0 < apart < ROUNDED_ROWS_LOGITS / 3.0


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("prompt", shipped_prompts()[::15], ids=lambda prompt: prompt.prompt_id)
def test_greedy_texts_of_the_default_target_are_plain_ones_to_the_bit(prompt, default_target):
    """Every token, and the gap between the best two logits that it was chosen by."""
    ids, rule = prompt_token_ids(default_target, prompt.turns[0]), RULES["target_sample"]
    found = []
    for name, budget in (("none", 1), ("eagle3", 4), ("eagle3", AUTO), ("ngram", 64)):
        settings = DecodeSettings(budget, 60, sampling=SamplingSettings(0.0))
        drafter = drafter_for(default_target, name, rule, settings.sampling)
        made = generate_from_ids(default_target, ids, drafter, rule, settings)
        found.append((made.token_ids, [margin for call in made.calls for margin in call.top_two_margins]))
    assert all(other == found[0] for other in found[1:])


@pytest.mark.model
def test_texts_scored_together_have_the_default_targets_logits_to_the_bit(default_target):
    prompts = [
        default_target.tokenizer.encode(text)
        for text in ("The tides are", "Once upon a time there was", "2 + 2")
    ]
    trees = [
        DraftTree(np.array([ids[-1], *range(40, 40 + size)]), np.arange(size + 1) - 1, np.zeros(size + 1))
        for ids, size in zip(prompts, (1, 9, 4), strict=True)
    ]
    together = score_together([ScoredText(default_target, ids) for ids in prompts], trees)
    for ids, tree, logits in zip(prompts, trees, together, strict=True):
        assert torch.equal(ScoredText(default_target, ids).score(tree), logits)


@pytest.mark.model
def test_nodes_of_a_tree_have_the_default_targets_logits_to_the_bit(default_target):
    """Those of the same tokens read one by one; the kept path's keys and values are the same too."""
    rng, size = np.random.default_rng(0), 24
    ids = default_target.tokenizer.encode("The tides are caused by the moon, and the seasons are not.")
    tokens = np.concatenate([ids[-1:], rng.integers(0, default_target.vocabulary_size, size - 1)])
    parents = np.array([-1, *(int(rng.integers(0, node)) for node in range(1, size))])
    text = ScoredText(default_target, ids)
    tree = DraftTree(tokens, parents, np.zeros(size))
    logits = text.score(tree)
    deepest = int(tree.depths.argmax())
    path = tree.path(deepest)
    assert len(path) >= 4
    plain = ScoredText(default_target, ids)
    for node, following in zip(path, [*tokens[path[1:]], 7], strict=True):
        assert torch.equal(plain.score(root_only(int(tokens[node])))[0], logits[node])
        plain.commit(np.array([0]), [int(following)])
    text.commit(path, [*tokens[path[1:]].tolist(), 7])
    for one, other in zip(text.cache.filled_slots(), plain.cache.filled_slots(), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_a_divergence_in_bfloat16_is_judged_by_its_type():
    target = tiny_target(9, seed=1, layers=1)
    target.model.to(torch.bfloat16)
    target.model.lm_head.weight.data.mul_(4)
    plain = plain_greedy(target, PROMPT, 3)
    logits = plain_logits(target, [*PROMPT, *plain[:1]])
    order = logits.argsort(descending=True).tolist()
    for token in order[1:]:
        found = first_divergence(target, PROMPT, [plain[0], token], plain)
        assert found is not None
        assert found.rounding == max(0.01, 8 * 2.0**-7 * float(logits[[order[0], token]].abs().max()))
        assert found.is_near_tie == (float(logits[order[0]] - logits[token]) <= found.rounding)


@pytest.mark.slow
def test_the_stated_power_is_kept_by_the_hardest_deviation():
    """A deviation in proportion to the law on half its mass has the least noncentrality, 4 n TV^2."""
    exact = {cell: 1.0 / 64 for cell in itertools.product(range(4), repeat=3)}
    cells = list(exact)
    counts = dict.fromkeys(cells, 100)
    test = string_test(counts, exact)
    assert test.cells == 64
    assert test.p_value == 1.0
    threshold = stats.chi2.isf(FALSE_ALARM, 63)
    rng = np.random.default_rng(0)
    shift = test.detectable * 2.0
    law = np.full(64, 1.0 / 64) * np.where(np.arange(64) < 32, 1.0 + shift, 1.0 - shift)
    found = 0
    for _ in range(300):
        drawn = rng.multinomial(6400, law)
        found += not string_test(dict(zip(cells, drawn.tolist(), strict=True)), exact).is_passed
    assert found >= 300 * POWER - 8  # 300 trials: 4.6 standard deviations below the stated power
    assert stats.ncx2.sf(threshold, 63, 4 * 6400 * test.detectable**2) >= POWER - 1e-6


def test_strings_that_cannot_be_compared_are_refused():
    with pytest.raises(InvalidInput, match="draw more strings"):
        string_test({(0,): 12}, {(0,): 1.0})
    impossible = string_test({(0,): 50, (1,): 50, (2,): 1}, {(0,): 0.5, (1,): 0.5})
    assert impossible.impossible == 1
    assert not impossible.is_passed


SMALL = ["--strings", "100", "--rule-strings", "500", "--greedy-prompts", "1", "--greedy-tokens", "8"]


def test_the_command_gives_a_verdict(monkeypatch, capsys):
    target = tiny_target(9, seed=1, layers=1, window=256)
    monkeypatch.setattr(command, "load_target", lambda options: target)
    arguments = ["verify", "--prompt", "t1 t2 t3 t1 t2", *SMALL]
    assert main([*arguments, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "no fault found"
    assert document["greedy"]["bugs"] == 0
    assert document["rule_alone"]["strings"] == 500
    assert document["loop"]["detectable"] > document["rule_alone"]["detectable"]
    assert main([*arguments, "--rule", "greedy"]) == 0
    assert "temperature 0" in capsys.readouterr().out


def test_the_command_exits_1_for_a_fault(monkeypatch, capsys):
    target = tiny_target(9, seed=1, layers=1, window=256)
    monkeypatch.setattr(command, "load_target", lambda options: target)
    monkeypatch.setitem(RULES, "target_sample", FirstChildAlways())
    with pytest.raises(SystemExit) as stopped:
        main(["verify", "--prompt", "t1 t2 t3 t1 t2", *SMALL])
    assert stopped.value.code == 1
    assert "not lossless" in capsys.readouterr().out


def test_in_16_bits_the_loop_is_not_judged_where_rounding_decides_what_is_possible(monkeypatch, capsys):
    """Told before the other tests, which --strings 0 makes alone; in 64 bits the same prompt is tested."""
    target = tiny_target(9, seed=1, window=256)
    target.model.to(torch.bfloat16)
    law = StringLaw(target, PROMPT, 1.0)
    ranked = np.sort(plain_logits(target, PROMPT).numpy())[::-1]
    assert law.near_tie is not None
    assert law.near_tie.rounding > NEAR_TIE_LOGITS
    if law.near_tie.place == len(PROMPT):
        assert law.near_tie.apart == ranked[3] - ranked[4]
        assert law.near_tie.rounding == near_tie_margin(target, ranked[3])
    with pytest.raises(InvalidInput, match="rounding in bfloat16"):
        loop_test(target, setup(), PROMPT, law, 10)
    monkeypatch.setattr(command, "load_target", lambda options: target)
    arguments = ["verify", "--prompt", "t1 t2 t3 t1 t2", *SMALL]
    assert main(arguments) == 2
    assert capsys.readouterr().err.rstrip().endswith("(the flag is --strings)")
    assert main([*arguments[:3], "--strings", "0", *SMALL[2:], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["loop"], document["rule_alone"]["strings"]) == (None, 500)
    target.model.to(torch.float64)
    assert StringLaw(target, PROMPT, 1.0).near_tie is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--strings", "-1"], "--strings"),
        (["--rule-strings", "0"], "--rule-strings"),
        (["--temperature", "0"], "--temperature"),
        (["--seed", "-1"], "--seed"),
        (["--rule", "guess"], "guess"),
        (["--kind", "guess"], "guess"),
    ],
)
def test_bad_input_exits_2(arguments, named, capsys):
    assert main(["verify", *arguments]) == 2
    assert named in capsys.readouterr().err


def test_the_progress_of_every_part_is_reported():
    target = tiny_target(9, seed=1, layers=1)
    law = StringLaw(target, PROMPT, 1.0)
    seen = []
    losslessness.rule_test(target, setup(), PROMPT, law, 100, progress=lambda *step: seen.append(step))
    assert seen == [(100, 100, "strings through the rule alone")]
