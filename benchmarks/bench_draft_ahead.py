"""Drafting while the target scores (`draft_ahead`) beside drafting before it: tokens per second, in turn.

Two targets. The default one, drafted for by its own first layers (with --model by a small model of yours too)
and by prompt lookup, which cannot draft ahead: of that the table tells the share of the time that drafting
takes, the most that could be hidden. And a random pair: a Llama of random weights whose later layers change
little, and as its drafter a model of its first layers, so that the drafter is cheap and mostly right without
training; they may stand on different devices. Every prompt is decoded plainly, without and with draft_ahead,
in turn, in one run. On a machine whose cores the target fills, expect a loss. Prints a table for people, then
one line of JSON.

    python benchmarks/bench_draft_ahead.py [--tokens 64] [--rounds 2] [--prompts 2] [--threads N]
        [--device cpu] [--drafter-device cpu] [--model FOLDER] [--pair-only] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
import torch

from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import Generation, generate_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.drafter_choices import DrafterChoice, LayerSkip, Model, NGram, Plain
from speclight.drafting.layer_skip import early_exit
from speclight.measure.latency.shape import shaped_target
from speclight.measure.paired_times import TimedPrompt, TimedRun, interleaved, speed_up, tokens_per_second
from speclight.measure.prompts import shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.load import load
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.verification.rules import RULES

RULE, GREEDY = RULES["target_sample"], SamplingSettings(0.0)
PLAIN, BEFORE, AHEAD = "plain", "before", "ahead"


@dataclass(frozen=True)
class PairSizes:
    """A random target of `layers` layers, the first of which are its drafter."""

    hidden: int
    layers: int
    drafter_layers: int
    node_budget: int


PAIR = PairSizes(hidden=768, layers=24, drafter_layers=3, node_budget=6)
TINY = PairSizes(hidden=64, layers=6, drafter_layers=2, node_budget=4)
VOCABULARY = 8192
# What all later layers add to the state is made smaller, to this size of one layer's, so that the first ones
# are a drafter that is mostly right.
LATER_LAYERS = 0.15
# Random laws are nearly flat; logits this much larger make them as sharp as a text's.
SHARPNESS = 12.0


def random_pair(sizes: PairSizes, device: str, drafter_device: str) -> tuple[CausalLM, CausalLM]:
    """Target and drafter, whose weights are the target's own where both stand on one device."""
    target = _random_model(sizes, sizes.layers, device)
    if drafter_device == device:
        return target, early_exit(target, sizes.drafter_layers)
    return target, _random_model(sizes, sizes.drafter_layers, drafter_device)


def _random_model(sizes: PairSizes, layers: int, device: str) -> CausalLM:
    """The target's first layers; a weight's numbers depend on its name alone."""
    shape = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": sizes.hidden,
        "intermediate_size": 3 * sizes.hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": sizes.hidden // 64 or 1,
        "num_key_value_heads": sizes.hidden // 64 or 1,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(shape))
        made = shaped_target(config, device).model
    made.name = f"{layers} random layers of width {sizes.hidden}"
    for name, weight in made.model.named_parameters():
        if weight.dim() < 2:
            continue
        generator = torch.Generator().manual_seed(crc32(name.encode()))
        weight.copy_(0.02 * torch.randn(weight.shape, generator=generator))
        layer = next((int(part) for part in name.split(".") if part.isdigit()), 0)
        if layer >= sizes.drafter_layers and name.endswith(("o_proj.weight", "down_proj.weight")):
            weight.mul_(LATER_LAYERS / (sizes.layers - sizes.drafter_layers) ** 0.5)
        if name == "lm_head.weight":
            weight.mul_(SHARPNESS)
    return made


def decoded(
    target: CausalLM, ids: list[int], choice: DrafterChoice, budget: int, tokens: int, ahead: bool
) -> Generation:
    drafter = drafter_for(target, choice, RULE, GREEDY)
    settings = DecodeSettings(budget, tokens, sampling=GREEDY, draft_ahead=ahead)
    return generate_from_ids(target, ids, drafter, RULE, settings)


def measured(
    name: str,
    target: CausalLM,
    choice: DrafterChoice,
    budget: int,
    prompts: Mapping[str, list[int]],
    tokens: int,
    rounds: int,
) -> dict[str, object]:
    """One row of the table."""
    decoders: dict[str, Callable[[list[int]], Generation]] = {
        PLAIN: lambda ids: decoded(target, ids, Plain(), 1, tokens, False),
        BEFORE: lambda ids: decoded(target, ids, choice, budget, tokens, False),
    }
    if not isinstance(choice, NGram):
        decoders[AHEAD] = lambda ids: decoded(target, ids, choice, budget, tokens, True)
    for decode in decoders.values():  # the first calls of all take longer
        decode(next(iter(prompts.values())))
    made: dict[str, list[Generation]] = {key: [] for key in decoders}

    def timed_run(key: str, ids: list[int]) -> TimedRun:
        made[key].append(decoders[key](ids))
        return TimedRun(len(made[key][-1].token_ids), made[key][-1].seconds)

    timed = [
        TimedPrompt(
            prompt_id,
            interleaved(
                {key: partial(timed_run, key, ids) for key in decoders}, rounds, backwards=n % 2 == 1
            ),
        )
        for n, (prompt_id, ids) in enumerate(prompts.items())
    ]
    rates = {key: tokens_per_second(timed, key) for key in decoders}
    row: dict[str, object] = {
        "drafter": name,
        "target": target.name,
        "node_budget": budget,
        "tokens_per_call": len(_tokens(made[BEFORE])) / len(_calls(made[BEFORE])),
        "tokens_per_second": rates,
        "drafting_share": _drafting_share(made[BEFORE]),
    }
    if AHEAD in decoders:
        ratio = speed_up(timed, AHEAD, [BEFORE])
        row |= {
            "ahead_over_before": ratio.estimate.value,
            "interval": [ratio.estimate.low, ratio.estimate.high],
            "drafting_share_ahead": _drafting_share(made[AHEAD]),
            **_ahead(made[AHEAD]),
            "same_texts": _tokens(made[AHEAD]) == _tokens(made[BEFORE]),
        }
    return row


def _calls(made: Sequence[Generation]):
    return [call for one in made for call in one.calls]


def _tokens(made: Sequence[Generation]) -> list[int]:
    return [token for one in made for token in one.token_ids]


def _drafting_share(made: Sequence[Generation]) -> float:
    return sum(call.seconds.draft for call in _calls(made)) / sum(one.seconds for one in made)


def _ahead(made: Sequence[Generation]) -> dict[str, float]:
    calls = _calls(made)
    ahead = [call.drafted_ahead for call in calls if call.drafted_ahead is not None]
    used = sum(one.used for one in ahead)
    return {
        "nodes_ahead": sum(one.cost.expanded_nodes for one in ahead),
        "nodes_used": used,
        "nodes_waited_for": sum(call.draft_cost.expanded_nodes for call in calls),
        "ahead_seconds": sum(call.ahead_seconds for call in calls),
        "target_seconds": sum(call.seconds.target for call in calls),
    }


def pair_row(
    sizes: PairSizes, device: str, drafter_device: str, tokens: int, rounds: int, prompts: int
) -> dict[str, object]:
    """The row of the random pair."""
    target, drafter = random_pair(sizes, device, drafter_device)
    rng = np.random.default_rng(0)
    texts = {f"random-{number}": rng.integers(0, VOCABULARY, 64).tolist() for number in range(prompts)}
    name = f"first {sizes.drafter_layers} of {sizes.layers} layers on {drafter_device}, target on {device}"
    return measured(name, target, Model(drafter), sizes.node_budget, texts, tokens, rounds)


def default_rows(options: argparse.Namespace) -> list[dict[str, object]]:
    """The rows of the default target."""
    target = load(device=options.device)
    shipped = shipped_prompts()
    families = list(dict.fromkeys(prompt.family for prompt in shipped))[: options.prompts]
    chosen = [next(prompt for prompt in shipped if prompt.family == family) for family in families]
    prompts = {prompt.prompt_id: prompt_token_ids(target, prompt.turns[0]) for prompt in chosen}
    cases: list[tuple[str, DrafterChoice, int]] = [("ngram", NGram(), 8), ("layer_skip", LayerSkip(), 3)]
    if options.model is not None:
        cases.append(("model", Model(options.model), 4))
    return [
        measured(name, target, choice, budget, prompts, options.tokens, options.rounds)
        for name, choice, budget in cases
    ]


def show(rows: Sequence[dict[str, object]]) -> None:
    columns = f"{PLAIN:>8}{BEFORE:>8}{AHEAD:>8}"
    print(f"{'tokens per second':56}{columns}{'ratio':>7}{'drafting':>10}{'used':>6}")
    for row in rows:
        rates = row["tokens_per_second"]
        assert isinstance(rates, dict)
        cells = "".join(
            f"{rates[key]:8.1f}" if key in rates else f"{'-':>8}" for key in (PLAIN, BEFORE, AHEAD)
        )
        ratio = f"{row['ahead_over_before']:7.2f}" if AHEAD in rates else f"{'-':>7}"
        used = f"{row['nodes_used']:>6}" if AHEAD in rates else f"{'-':>6}"
        label = f"{row['drafter']}, P = {row['node_budget']}"
        print(f"{label:56}{cells}{ratio}{row['drafting_share']:10.1%}{used}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Drafting while the target scores, beside drafting before.")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each text (default: 64)")
    parser.add_argument("--rounds", type=int, default=2, help="times each prompt is decoded (default: 2)")
    parser.add_argument("--prompts", type=int, default=2, help="prompts of each target (default: 2)")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--device", default="cpu", help="of the target (default: cpu)")
    parser.add_argument("--drafter-device", default="cpu", help="of the random drafter (default: cpu)")
    parser.add_argument("--model", type=Path, help="folder of a small model with the default target's tokens")
    parser.add_argument("--pair-only", action="store_true", help="the random pair alone")
    parser.add_argument("--tiny", action="store_true", help="a random pair of small sizes: does it run?")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    sizes = TINY if options.tiny else PAIR
    pair = pair_row(
        sizes, options.device, options.drafter_device, options.tokens, options.rounds, options.prompts
    )
    rows = [pair] if options.pair_only else [*default_rows(options), pair]
    show(rows)
    document = {"schema": 1, "benchmark": "draft_ahead", "threads": torch.get_num_threads()}
    print(json.dumps(document | {"tokens": options.tokens, "rounds": options.rounds, "rows": rows}))


if __name__ == "__main__":
    main()
