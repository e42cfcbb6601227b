"""Tokens per target call of an EAGLE-3 head on the shipped prompts, beside n-gram, and against Lemma 7.

    python benchmarks/measure_head.py [--head FOLDER] [--prompts 10] [--max-tokens 80]

The target answers each prompt once at temperature 0 and once at 1; every drafter is then replayed on those
texts (speclight.training.replay), which gives its tokens per call exactly and runs the target only once. The
last line is one JSON document. Moments for Lemma 7 are taken at temperature 1, at every fourth position.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from speclight.drafting.eagle3.law import Eagle3Law
from speclight.drafting.eagle3.shipped import head_for
from speclight.drafting.eagle3.target_matrices import output_matrix
from speclight.drafting.ngram import NgramLaw
from speclight.measure.prompts import FAMILIES, shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.weights import load_weights
from speclight.theory.imperfect_drafter import (
    lemma_7_corrected_leading_order,
    lemma_7_corrected_two_moments,
    lemma_7_printed,
)
from speclight.training.evaluation import law_pairs, scored_answers
from speclight.training.replay import replay
from speclight.training.shards import read_shard, write_shard

# With the share of each family's texts that is replayed: trees of 60 nodes take four times as long.
BUDGETS = {16: 1.0, 60: 0.5}
EVERY = 4
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


def lemma_7(pairs, measured):
    eps, m = float(pairs.missed.mean()), float(pairs.cross_entropies.mean())
    ratio = float((pairs.cross_entropies / (1.0 - pairs.missed)).mean())
    budget = max(BUDGETS)
    bounds = (
        lemma_7_printed(ratio, eps, budget),
        lemma_7_corrected_leading_order(m, eps, budget),
        lemma_7_corrected_two_moments(
            m, eps, float(pairs.drafter_entropies.mean()), float(pairs.drafter_second.mean()), budget
        ),
    )
    return {
        "positions": len(pairs.missed),
        "miss_probability": eps,
        "cross_entropy_on_hits": m,
        "mu_ce_mean_ratio": ratio,
        "target_entropy": float(pairs.entropies.mean()),
        "acceptance_of_one_sample": float(pairs.overlaps.mean()),
        "measured_at_60": measured,
        **{bound.name: bound.value for bound in bounds},
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
    all_pairs, at_60 = [], []
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
            if temperature == 1.0:
                at_60.append(row["eagle3_60"]["mean"])
                law = Eagle3Law("eagle3", head.network, head.target_ids)
                all_pairs.append(law_pairs(law, texts, output_matrix(target), EVERY))
    if all_pairs:
        joined = type(all_pairs[0])(
            *(np.concatenate([getattr(p, name) for p in all_pairs]) for name in all_pairs[0].__slots__)
        )
        document["lemma_7"] = lemma_7(joined, float(np.mean(at_60)))
    print(json.dumps(document))


if __name__ == "__main__":
    main()
