"""Settings of engines for plans written by hand; where an engine's parser is installed, it reads them."""

import importlib
import json
import shlex

import pytest
import yaml
from transformers import GenerationConfig

from advice.emitted_settings import CASES, TREES, plan_of, told
from speclight.advice.engine_settings.known import all_settings
from speclight.advice.engine_settings.transformers_settings import Transformers
from speclight.drafting.tree_names import read_tree


def config(settings):
    """The JSON of vLLM's option, as a shell hands it over."""
    words = shlex.split(settings.lines[0])
    return json.loads(words[words.index("--speculative-config") + 1])


def test_each_engine_gets_the_best_it_can_do_and_is_told_the_loss():
    found = {each.engine: each for each in all_settings([TREES])}
    chosen = {name: each.served[0].configuration for name, each in found.items()}
    assert chosen["speclight"].growth == "best_first"
    assert chosen["SGLang"].growth == chosen["TensorRT-LLM"].growth == "eagle2=4,2,2"
    assert chosen["vLLM"].growth == chosen["llama.cpp"].growth == "chain"
    assert chosen["Transformers"].drafter == "ngram"
    assert found["speclight"].lost == 0.0
    assert found["vLLM"].lost == pytest.approx(0.2)
    assert "verifies chains only" in found["vLLM"].notes[0]
    assert found["speclight"].notes == ()


def test_settings_of_speclight_are_read_by_its_own_command_line():
    words = shlex.split(told("speclight", TREES).lines[0])
    flags = dict(zip(words[2::2], words[3::2], strict=True))
    assert flags == {
        "--drafter": "eagle3=HEAD",
        "--rule": "target_sample",
        "--tree": "best_first",
        "--budget": "16",
    }
    assert read_tree(flags["--tree"], "deterministic") is not None


def test_vllm_gets_a_chain_and_the_length_for_each_batch_size():
    assert config(told("vLLM", TREES)) == {
        "method": "eagle3",
        "model": "HEAD",
        "num_speculative_tokens": 4,
    }
    busy = plan_of(("eagle3=HEAD", "chain", "target_sample", 3, 120.0), batch_size=8)
    full = plan_of(("eagle3=HEAD", "chain", "target_sample", 3, 90.0), batch_size=32)
    # Batches up to 8 draft what pays at 8; at 32 nothing does.
    several = config(told("vLLM", TREES, busy, full))
    assert several["num_speculative_tokens_per_batch_size"] == [[1, 1, 4], [2, 8, 2], [9, 32, 0]]
    assert several["num_speculative_tokens"] == 4


def test_vllm_samples_where_the_plan_does():
    sampled = plan_of(("model=SMALL", "chain", "block", 5, 200.0))
    assert config(told("vLLM", sampled)) == {
        "method": "draft_model",
        "model": "SMALL",
        "num_speculative_tokens": 4,
        "draft_sample_method": "probabilistic",
        "rejection_sample_method": "block",
    }


def test_sglang_gets_levels_width_and_nodes():
    line = told("SGLang", TREES).lines[0]
    assert "--speculative-algorithm EAGLE3 --speculative-draft-model-path HEAD" in line
    assert "--speculative-num-steps 4 --speculative-eagle-topk 2 --speculative-num-draft-tokens 9" in line
    # More nodes than four levels of two nodes with two children each can have: 2 + 3 * 4, and the root.
    large = plan_of(("eagle3", "eagle2=4,2,2", "target_sample", 16, 200.0))
    assert told("SGLang", large).served[0].configuration.is_plain


def test_sglang_adapts_chains_to_the_batch():
    one, eight = (
        plan_of(("eagle3", "chain", "target_sample", budget, 200.0), batch_size=size)
        for budget, size in ((8, 1), (4, 8))
    )
    command, file = told("SGLang", one, eight).lines
    assert "--speculative-num-steps 7 --speculative-eagle-topk 1 --speculative-num-draft-tokens 8" in command
    assert command.endswith("--speculative-adaptive --speculative-adaptive-config adaptive.json")
    adaptive = json.loads(file.removeprefix("adaptive.json: "))
    assert adaptive["1"]["candidate_steps"] == [1, 3, 7]
    assert adaptive["8"]["candidate_steps"] == [1, 3]
    full = plan_of(("eagle3", "chain", "target_sample", 4, 90.0), batch_size=32)
    _, file = told("SGLang", one, eight, full).lines
    assert json.loads(file.removeprefix("adaptive.json: "))["32"]["candidate_steps"] == [0]


def test_sglang_adapts_no_other_drafters():
    one, eight = (
        plan_of(("model=SMALL", "chain", "target_sample", budget, 200.0), batch_size=size)
        for budget, size in ((8, 1), (4, 8))
    )
    settings = told("SGLang", one, eight)
    (command,) = settings.lines
    assert "adaptive" not in command
    assert "only chains of eagle3 adapt" in settings.notes[-1]


def test_tensorrt_llm_gets_yaml():
    tree = yaml.safe_load("\n".join(told("TensorRT-LLM", TREES).lines))["speculative_config"]
    assert tree == {
        "decoding_type": "Eagle3",
        "speculative_model": "HEAD",
        "max_draft_len": 4,
        "use_dynamic_tree": True,
        "dynamic_tree_max_topK": 2,
        "max_total_draft_tokens": 8,
        "max_batch_size": 1,
    }
    # As its own checks have it: at least a node a level, at most topk of them.
    for budget in (4, 10):
        other = plan_of(("eagle3=HEAD", "eagle2=4,2,2", "target_sample", budget, 200.0))
        assert told("TensorRT-LLM", other).served[0].configuration.is_plain
    chains = [
        plan_of(("model=SMALL", "chain", "target_sample", budget, 200.0), batch_size=size)
        for budget, size in ((6, 1), (3, 16))
    ]
    chain = yaml.safe_load("\n".join(told("TensorRT-LLM", *chains).lines))["speculative_config"]
    assert chain["draft_len_schedule"] == {1: 5, 16: 2}
    assert (chain["decoding_type"], chain["max_draft_len"]) == ("DraftTarget", 5)


def test_llama_cpp_gets_flags_and_types_that_its_server_knows():
    assert told("llama.cpp", TREES).lines == (
        "llama-server -m TARGET --spec-type draft-eagle3 --spec-draft-model HEAD --spec-draft-n-max 4 "
        "--spec-draft-p-min 0",
    )
    lookup = told("llama.cpp", plan_of(("ngram", "chain", "greedy", 8, 150.0)))
    assert "--spec-type ngram-simple" in lookup.lines[0]
    assert lookup.lines[0].endswith("--spec-ngram-simple-size-m 7")
    xllamacpp = importlib.import_module("xllamacpp")
    types = {each.name.lower().replace("_", "-") for each in xllamacpp.common_speculative_type}
    for name in ("draft-eagle3", "draft-simple", "ngram-simple"):
        assert f"common-speculative-type-{name}" in types
    parameters = xllamacpp.CommonParams().speculative
    assert {"n_max", "p_min"} <= set(dir(parameters.draft))
    assert {"size_n", "size_m"} <= set(dir(parameters.ngram_simple))


@pytest.mark.parametrize(("drafter", "rule"), [("model=SMALL", "greedy"), ("ngram", "target_sample")])
def test_transformers_takes_its_arguments(drafter, rule):
    settings = told("Transformers", plan_of((drafter, "chain", rule, 6, 150.0)))
    arguments = Transformers().arguments(settings.served[0])
    read = GenerationConfig(**arguments)
    assert {name: getattr(read, name) for name in arguments} == arguments
    assert set(arguments) <= set(GenerationConfig().to_dict())
    assert all(f"{name}={value!r}" in settings.lines[-1] for name, value in arguments.items())


def test_prompt_lookups_are_said_to_differ():
    lookup = plan_of(("ngram", "chain", "target_sample", 8, 150.0))
    for name in ("vLLM", "TensorRT-LLM", "llama.cpp", "Transformers"):
        assert "chooses among matches by itself" in told(name, lookup).notes[-1]
    assert told("SGLang", lookup).served[0].configuration.is_plain


def test_where_nothing_pays_every_engine_is_told_to_leave_it():
    none = plan_of(("eagle3", "chain", "target_sample", 4, 90.0))
    for settings in all_settings([none]):
        assert settings.lines == ()
        assert settings.notes == ("leave speculation off",)
        assert settings.lost == 0.0


def test_what_cannot_be_done_is_said_with_what_it_costs():
    """Engines that verify chains only, where trees are best: each says so, and the share of speed lost."""
    for name in ("vLLM", "llama.cpp", "Transformers"):
        settings = told(name, TREES)
        assert "verifies chains only" in settings.notes[0]
        best, own = TREES.best.tokens_per_second.value, settings.served[0].prediction.tokens_per_second.value
        assert settings.lost == pytest.approx(1.0 - own / best)


def test_a_budget_that_each_call_sets_is_speclights_own():
    auto = plan_of(("eagle3", "best_first", "target_sample", 64, 250.0, True))
    assert told("speclight", auto).lines == (
        "speclight generate --drafter eagle3 --rule target_sample --tree best_first --budget auto",
    )
    for name in ("vLLM", "SGLang", "TensorRT-LLM"):
        settings = told(name, auto)
        assert settings.served[0].configuration.is_plain
        assert settings.lost == pytest.approx(1.0 - 100.0 / 250.0)


def test_every_case_that_other_environments_check_has_settings():
    assert all(told("speclight", *plans).lines for plans in CASES)
