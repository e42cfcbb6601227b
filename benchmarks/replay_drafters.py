"""Tokens per target call of trained drafters on the shipped prompts, replayed on the target's own answers.

    python benchmarks/replay_drafters.py --drafter medusa=FOLDER --drafter model=FOLDER --drafter eagle3 \\
        [--prompts 4] [--max-tokens 80] [--budget 16] [--keep FOLDER]

The target answers each prompt once at temperature 0 and once at 1; best-first trees of P nodes are then
replayed on those texts (speclight.training.replay), which gives tokens per call exactly without running the
target again. One line per drafter and family, then one JSON document. --keep: where the answers are kept.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from speclight.drafting.drafters import DRAFTERS
from speclight.drafting.eagle3.conventions import default_layers
from speclight.drafting.settings import DrafterSettings
from speclight.measure.prompts import FAMILIES, shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.models.weights import load_weights
from speclight.training.evaluation import scored_answers
from speclight.training.replay import replay
from speclight.training.shards import read_shard, write_shard

SEED = 1000


def answers(target, temperature, family, arguments):
    """Answers of one family with the states that heads read."""
    path = arguments.keep / f"eval-{temperature:.0f}-{family}.safetensors" if arguments.keep else None
    if path is not None and path.exists():
        return read_shard(path)[: arguments.prompts]
    prompts = [prompt.turns[0] for prompt in shipped_prompts([family])[: arguments.prompts]]
    layers = default_layers(target.layers)
    texts = scored_answers(target, prompts, layers, temperature, arguments.max_tokens, SEED)
    if path is not None:
        write_shard(path, texts)
    return texts


def with_states_for(source, texts, target):
    """The same texts with the states that this drafter reads."""
    last = (target.output_state,)
    if source.hidden_layers not in ((), last, default_layers(target.layers)):
        sys.exit(f"{source.name} reads the states of layers {source.hidden_layers}, which are not kept here")
    return (
        [replace(text, features=text.last_states) for text in texts]
        if source.hidden_layers == last
        else texts
    )


def measured(drafter, target, temperature, arguments):
    """One row per family and one for all texts together."""
    name, _, weights = drafter.partition("=")
    settings = DrafterSettings(weights=weights or None, sampling=SamplingSettings(temperature))
    source = DRAFTERS[name].source(target, settings)
    by_family = {}
    for family in FAMILIES:
        texts = with_states_for(source, answers(target, temperature, family, arguments), target)
        calls = replay(source, texts, arguments.budget, target.end_of_text).tokens_by_call
        by_family[family] = {"mean": float(calls.mean()), "se": float(calls.std() / len(calls) ** 0.5)}
        row = by_family[family]
        print(f"{name:8s} T={temperature:g} {family:14s} {row['mean']:.3f}±{row['se']:.3f}", flush=True)
    mean = sum(row["mean"] for row in by_family.values()) / len(by_family)
    print(f"{name:8s} T={temperature:g} {'mean':14s} {mean:.3f}", flush=True)
    return {"drafter": name, "temperature": temperature, "families": by_family, "mean": mean}


def main():
    parser = argparse.ArgumentParser(description="Replay drafters on the target's answers.")
    parser.add_argument("--drafter", action="append", required=True, metavar="NAME[=FOLDER]")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=80)
    parser.add_argument("--budget", type=int, default=16)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    target = CausalLM(load_weights())
    rows = [
        measured(drafter, target, temperature, arguments)
        for drafter in arguments.drafter
        for temperature in (0.0, 1.0)
    ]
    print(json.dumps({"budget": arguments.budget, "prompts_per_family": arguments.prompts, "rows": rows}))


if __name__ == "__main__":
    main()
