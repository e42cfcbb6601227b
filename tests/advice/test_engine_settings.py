"""Settings of engines for plans written by hand; where an engine's parser is installed, it reads them."""

import importlib
import json
import shlex

import pytest
import yaml
from transformers import GenerationConfig

from speclight.advice.configuration import Configuration
from speclight.advice.engine_settings.engine import settings_for
from speclight.advice.engine_settings.known import ENGINES, all_settings
from speclight.advice.engine_settings.transformers_settings import Transformers
from speclight.advice.plan import PLAIN, FreeOracle, Plan, Prediction
from speclight.drafting.tree_names import read_tree
from speclight.measure.estimates import Estimate

BY_NAME = {engine.name: engine for engine in ENGINES}


def plan_of(*speeds, batch_size=1) -> Plan:
    """(drafter, growth, rule, P, tokens per second), the fastest first, plain decoding at 100."""
    made = [(Configuration(*names), speed) for *names, speed in speeds]
    rows = sorted([*made, (PLAIN, 100.0)], key=lambda row: -row[1])
    return Plan(
        tuple(
            Prediction(name, Estimate(speed, None, None, None, 1), 2.0, 1e-2, 1e-3) for name, speed in rows
        ),
        FreeOracle(8, 3.0, 300.0),
        {"code": 1.0},
        (),
        64,
        batch_size,
    )


TREES = plan_of(
    ("eagle3=HEAD", "best_first", "target_sample", 16, 250.0),
    ("eagle3=HEAD", "eagle2=4,2,2", "target_sample", 9, 230.0),
    ("eagle3=HEAD", "eagle2=4,2,3", "target_sample", 9, 225.0),
    ("eagle3=HEAD", "chain", "target_sample", 5, 200.0),
    ("ngram", "chain", "target_sample", 8, 150.0),
)


def told(name, *plans):
    return settings_for(BY_NAME[name], plans)


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


def test_tensorrt_llm_gets_yaml():
    tree = yaml.safe_load("\n".join(told("TensorRT-LLM", TREES).lines))["speculative_config"]
    assert tree == {
        "decoding_type": "Eagle3",
        "speculative_model": "HEAD",
        "max_draft_len": 4,
        "use_dynamic_tree": True,
        "dynamic_tree_max_topK": 2,
        "max_total_draft_tokens": 8,
    }
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
