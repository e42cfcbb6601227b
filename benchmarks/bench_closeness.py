"""How close the default target's laws stay to Transformers' float32 ones, by the way they are computed.

After every position of shipped prompts: the divergence of the law from Transformers' in float32, in nats, the
largest difference of a log-probability, and how often another token is the most probable one. Beside our
kernels the same model in bfloat16, as many are run. Claim: the mean divergence of our kernels is at most a
thousandth of bfloat16's. Prints a table for people, then one line of JSON. Half a minute.

    python benchmarks/bench_closeness.py [--prompts 4] [--tokens 300]

--prompts: of each family. --tokens: of each, at most.
"""

from __future__ import annotations

import argparse
import json

import torch

from speclight.measure.prompts import Prompt, shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.load import load

CLAIM = 1e-3


def laws(model: CausalLM, token_ids: list[int]) -> torch.Tensor:
    """[positions, vocab] log-probabilities, float64."""
    return torch.log_softmax(model.read(model.new_cache(), token_ids).logits[0].double(), dim=-1)


def prompts_of_each_family(count: int) -> list[Prompt]:
    kept: dict[str, list[Prompt]] = {}
    for prompt in shipped_prompts():
        own = kept.setdefault(prompt.family, [])
        if len(own) < count:
            own.append(prompt)
    return [prompt for own in kept.values() for prompt in own]


def compared(reference: torch.Tensor, given: torch.Tensor) -> dict[str, torch.Tensor]:
    """[positions] each."""
    gap = reference - given
    return {
        "divergence": (reference.exp() * gap).sum(-1),
        "largest_gap": gap.abs().amax(-1),
        "other_token": (reference.argmax(-1) != given.argmax(-1)).double(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Laws of kernels beside Transformers' float32 ones.")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=300)
    options = parser.parse_args()
    eager = load(kernels="eager")
    ways = {
        "fast": load(kernels="fast"),
        "compiled": load(kernels="compiled"),
        "bfloat16, as Transformers computes it": load(kernels="eager", dtype="bfloat16"),
    }
    found: dict[str, list[dict[str, torch.Tensor]]] = {name: [] for name in ways}
    for prompt in prompts_of_each_family(options.prompts):
        token_ids = eager.tokenizer.encode(prompt.turns[0])[: options.tokens]
        reference = laws(eager, token_ids)
        for name, model in ways.items():
            found[name].append(compared(reference, laws(model, token_ids)))
    results: dict[str, dict[str, float]] = {}
    print(f"{'':40}{'mean nats':>12}{'most nats':>12}{'most gap':>10}{'other token':>18}")
    for name, texts in found.items():
        joined = {key: torch.cat([text[key] for text in texts]) for key in texts[0]}
        mean, most = float(joined["divergence"].mean()), float(joined["divergence"].max())
        gap, others = float(joined["largest_gap"].max()), int(joined["other_token"].sum())
        positions = len(joined["divergence"])
        print(f"{name:40}{mean:12.1e}{most:12.1e}{gap:10.4f}{others:9} of {positions}")
        results[name] = {
            "positions": positions,
            "mean_divergence": mean,
            "largest_divergence": most,
            "largest_gap": gap,
            "other_tokens": others,
        }
    *ours, half = results.values()
    share = max(way["mean_divergence"] for way in ours) / half["mean_divergence"]
    print(f"mean divergence of our kernels: at most {share:.1e} of bfloat16's; claimed {CLAIM:g} at most")
    print(json.dumps({"schema": 1, "benchmark": "closeness", "target": eager.name, "results": results}))


if __name__ == "__main__":
    main()
