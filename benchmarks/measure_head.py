"""Tokens per target call of an EAGLE-3 head on the shipped prompts, beside n-gram, and against Lemma 7.

    python benchmarks/measure_head.py [--head FOLDER] [--prompts 10] [--max-tokens 80]

The target answers each prompt once at temperature 0 and once at 1; every drafter is then replayed on those
texts (speclight.training.replay), which gives its tokens per call exactly and runs the target only once. The
last line is one JSON document. Lemma 7 is measured as `speclight drafter-profile` does, at temperature 1, on
texts of its own that are long enough for trees of 60 nodes.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from speclight.drafting.eagle3.law import Eagle3Law
from speclight.drafting.eagle3.shipped import head_for
from speclight.drafting.ngram import NgramLaw
from speclight.measure.drafter_limits import drafter_limits
from speclight.measure.drafter_profile import DrafterProfileSettings, run_drafter_profile
from speclight.measure.profile import ProfileSettings, run_profile
from speclight.measure.prompts import FAMILIES, shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.weights import load_weights
from speclight.training.evaluation import scored_answers
from speclight.training.replay import replay
from speclight.training.shards import read_shard, write_shard

# With the share of each family's texts that is replayed: trees of 60 nodes take four times as long.
BUDGETS = {16: 1.0, 60: 0.5}
EVERY = 4
# Every start needs 59 further tokens; this leaves 68 of each text.
LEMMA_7_TOKENS = 128
PLAIN = argparse.RawDescriptionHelpFormatter
SEED = 1000


def answers(target, layers, folder, temperature, family, arguments):
    """Kept on disk where a folder is given: the target's passes are most of the time."""
    path = folder / f"eval-{temperature:.0f}-{family}.safetensors" if folder else None
    if path is not None and path.exists():
        return read_shard(path)
    prompts = [prompt.turns[0] for prompt in shipped_prompts([family])[: arguments.prompts]]
    texts = scored_answers(target, prompts, layers, temperature, arguments.max_tokens, SEED)
    if path is not None:
        write_shard(path, texts)
    return texts


def tokens_per_call(source, texts, budget, target):
    calls = replay(source, texts, budget, target.end_of_text).tokens_by_call
    return {"mean": float(calls.mean()), "calls": len(calls), "se": float(calls.std() / len(calls) ** 0.5)}


def cells(row):
    numbers = [(name, value) for name, value in row.items() if isinstance(value, dict)]
    return "  ".join(f"{name} {value['mean']:.3f} (SE {value['se']:.3f})" for name, value in numbers)


def lemma_7(target, head, prompts, folder):
    chosen = tuple(prompt for family in FAMILIES for prompt in shipped_prompts([family])[:prompts])
    profile = run_profile(
        target, chosen, ProfileSettings(max_tokens=LEMMA_7_TOKENS, seed=SEED), folder / "lemma-7-profile"
    )
    record = run_drafter_profile(
        target,
        Eagle3Law("eagle3", head.network, head.target_ids),
        profile,
        DrafterProfileSettings(max(BUDGETS), EVERY),
        head.name,
        folder / "lemma-7",
    )
    limits = drafter_limits(record, max(BUDGETS))
    return {
        "starts": len(record.starts),
        **asdict(limits.moments),
        "measured_at_60": asdict(limits.measured),
        **{
            item.bound.name: {
                "value": item.bound.value,
                "interval": None if item.interval is None else asdict(item.interval),
            }
            for item in limits.bounds
        },
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--head", type=Path, default=None)
    parser.add_argument("--prompts", type=int, default=10)
    parser.add_argument("--max-tokens", type=int, default=80)
    parser.add_argument("--keep", type=Path, default=None, help="folder to keep the target's answers in")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.0, 1.0])
    arguments = parser.parse_args()
    target = CausalLM(load_weights())
    head = head_for(target, arguments.head)
    layers = head.network.conventions.layers
    document = {"head": head.name, "prompts_per_family": arguments.prompts, "rows": [], "lemma_7": None}
    for temperature in arguments.temperatures:
        for family in FAMILIES:
            texts = answers(target, layers, arguments.keep, temperature, family, arguments)
            row = {"temperature": temperature, "family": family}
            for budget, share in BUDGETS.items():
                law = Eagle3Law("eagle3", head.network, head.target_ids)
                row[f"eagle3_{budget}"] = tokens_per_call(
                    law, texts[: round(share * len(texts))], budget, target
                )
            row["ngram_16"] = tokens_per_call(NgramLaw(), texts, min(BUDGETS), target)
            document["rows"].append(row)
            cells = "  ".join(
                f"{k} {v['mean']:.3f}±{v['se']:.3f}" for k, v in row.items() if isinstance(v, dict)
            )
            print(f"T={temperature:g}  {family:14s} {cells}", flush=True)
    if 1.0 in arguments.temperatures:
        with tempfile.TemporaryDirectory() as scratch:
            folder = arguments.keep or Path(scratch)
            document["lemma_7"] = lemma_7(target, head, arguments.prompts, folder)
    print(json.dumps(document))


if __name__ == "__main__":
    main()
