"""Tokens per second of prompts decoded together, beside the same prompts decoded one by one.

Both ways decode the same prompts to the same number of tokens in the same run, in turn, round by round, so
that a busy moment of the machine hits both; the figure is the ratio of tokens per second over all rounds.
Only target calls with all that belongs to them are counted, reading the prompts is not: it is done prompt by
prompt either way. One call with the tokens of eight texts gains where a call's time is mostly reading weights
(small budgets, accelerators), and little where it is mostly arithmetic. Prints a table for people, then one
line of JSON.

    python benchmarks/bench_batch.py [--tokens 64] [--rounds 2] [--threads 1] [--batches 4 8]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from speclight.decoding.fitting_drafters import drafters_for
from speclight.decoding.generate import Generation, generate_batch_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.measure.prompts import shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.load import load
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.verification.rules import RULES

SAMPLING, RULE = SamplingSettings(0.0), RULES["target_sample"]
# drafter, P. Rows differ in how many nodes a call scores, and so in what is left to gain from sharing it.
CASES = (("none", 1), ("ngram", 4), ("ngram", 16), ("eagle3", 8))


@dataclass
class Totals:
    tokens: int = 0
    seconds: float = 0.0
    drafting: float = 0.0
    nodes: int = 0
    text_calls: int = 0

    def add(self, made: Iterable[Generation]) -> None:
        for one in made:
            self.tokens += len(one.token_ids)
            self.seconds += one.seconds
            self.drafting += sum(call.seconds.draft for call in one.calls)
            self.nodes += sum(len(call.tree) for call in one.calls)
            self.text_calls += len(one.calls)

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


def decoded(
    target: CausalLM, prompts: Sequence[list[int]], case: tuple[str, int], tokens: int, batch_size: int
) -> list[Generation]:
    drafter, node_budget = case
    settings = DecodeSettings(node_budget, tokens, sampling=SAMPLING)
    drafters = drafters_for(target, drafter, RULE, SAMPLING, None, len(prompts))
    return generate_batch_from_ids(target, prompts, drafters, RULE, settings, batch_size)


def measure(
    target: CausalLM, prompts: Sequence[list[int]], case: tuple[str, int], options: argparse.Namespace
) -> list[dict[str, object]]:
    """One row for each batch size."""
    sizes = [1, *options.batches]
    totals = {size: Totals() for size in sizes}
    texts: dict[int, list[tuple[int, ...]]] = {}
    for _ in range(options.rounds):
        for size in sizes:
            made = decoded(target, prompts, case, options.tokens, size)
            totals[size].add(made)
            texts[size] = [one.token_ids for one in made]
    drafter, node_budget = case
    alone = totals[1]
    return [
        {
            "drafter": drafter,
            "node_budget": node_budget,
            "batch_size": size,
            "tokens_per_second_one_by_one": alone.tokens_per_second,
            "tokens_per_second_together": totals[size].tokens_per_second,
            "ratio": totals[size].tokens_per_second / alone.tokens_per_second,
            "tokens_per_text_and_call": totals[size].tokens / totals[size].text_calls,
            "nodes_per_text_and_call": totals[size].nodes / totals[size].text_calls,
            "drafting_share": totals[size].drafting / totals[size].seconds,
            # Rounding may decide near ties otherwise in a call of another size.
            "equal_texts": sum(one == other for one, other in zip(texts[1], texts[size], strict=True)),
            "texts": len(prompts),
        }
        for size in options.batches
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="A batch of prompts against one prompt at a time.")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each text (default: 64)")
    parser.add_argument("--rounds", type=int, default=2, help="times both ways are run (default: 2)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--batches", type=int, nargs="+", default=[4, 8], help="texts at a time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    target = load()
    shipped, count = shipped_prompts(), max(options.batches)
    chosen = [shipped[place * len(shipped) // count] for place in range(count)]
    prompts = [prompt_token_ids(target, prompt.turns[0]) for prompt in chosen]
    decoded(target, prompts[:1], ("none", 1), 4, 1)  # warms caches up
    print(f"{len(prompts)} prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens, greedy")
    print(
        f"{'drafter':10}{'P':>4}{'batch':>7}{'alone tok/s':>13}{'batch tok/s':>13}{'ratio':>8}"
        f"{'tok/call':>10}{'nodes/call':>12}{'drafting':>10}{'equal':>8}"
    )
    rows: list[dict[str, object]] = []
    for case in CASES:
        for row in measure(target, prompts, case, options):
            rows.append(row)
            print(
                f"{row['drafter']:10}{row['node_budget']:4}{row['batch_size']:7}"
                f"{row['tokens_per_second_one_by_one']:13.1f}{row['tokens_per_second_together']:13.1f}"
                f"{row['ratio']:8.2f}{row['tokens_per_text_and_call']:10.2f}"
                f"{row['nodes_per_text_and_call']:12.1f}{row['drafting_share']:10.1%}"
                f"{row['equal_texts']:>5}/{row['texts']}"
            )
    document = {
        "schema": 1,
        "benchmark": "batch",
        "target": target.name,
        "tokens": options.tokens,
        "rounds": options.rounds,
        "threads": options.threads,
        "rows": rows,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
