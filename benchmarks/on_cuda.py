"""One prepared script for a CUDA device: under 8 minutes, and nothing from a network.

1. How long a call of P positions takes, P = 1 to 512, after 1,024 and 8,192 tokens of context: a model of
   the sizes of an 8B Llama with random weights in bfloat16 (16 GB), medians and quarters of rounds in turn,
   of calls recorded as CUDA graphs and of the same computed kernel by kernel.
2. How fast the default target is decoded: plain, n-gram at P = 8, the shipped head at P = 4 and 16, and auto,
   with graphs, and plain and the head without them, at temperatures 0 and 1, in turn; tokens per second, and
   over plain decoding with the same kernels.
3. Drafting while the target scores, beside drafting before it: a random pair of a target on the device and a
   drafter on the CPU, then both on the device (see bench_draft_ahead.py).

Before each part it says how much time is left, and what does not fit is left out and said. Prints tables for
people, then one line of JSON, also kept where --out says.

    python benchmarks/on_cuda.py [--device cuda] [--minutes 7] [--tokens 128] [--out FILE]

--tiny tries every part with small sizes in seconds, on a CPU too (--device cpu).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

import bench_draft_ahead
import peers
from speclight.decoding.settings import AUTO, Auto
from speclight.measure.latency.calls import CallTimer
from speclight.measure.latency.shape import shaped_target
from speclight.measure.paired_times import TimedPrompt, interleaved, tokens_per_second
from speclight.measure.prompts import shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.load import load
from speclight.models.prompting import prompt_token_ids

SHAPE_8B = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 16384,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": None,
}
TINY = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 500,
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    shape: dict[str, object]
    dtype: str
    contexts: tuple[int, ...]
    node_budgets: tuple[int, ...]
    rounds: int
    tokens: int
    prompts: int
    pair: bench_draft_ahead.PairSizes


# Many layers, each of which takes as long as its kernels take to start; and a drafter that a CPU is fit for.
DEEP_PAIR = bench_draft_ahead.PairSizes(hidden=1024, layers=48, drafter_layers=1, node_budget=6)
FULL = Sizes(
    SHAPE_8B,
    "bfloat16",
    (1024, 8192),
    (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    15,
    128,
    1,
    DEEP_PAIR,
)
SMALL = Sizes({**SHAPE_8B, **TINY}, "float32", (16, 32), (1, 2, 8), 2, 6, 1, bench_draft_ahead.TINY)


TEMPERATURES = (0.0, 1.0)


@dataclass(frozen=True)
class Decoding:
    """One way of decoding the default target. kernels: how the target's passes are computed."""

    kernels: str
    drafter: str
    budget: int | Auto

    @property
    def name(self) -> str:
        return "plain" if self.drafter == "none" else f"{self.drafter}, P = {self.budget}"


class Deadline:
    """Says how much time is left."""

    def __init__(self, minutes: float) -> None:
        self._end = time.monotonic() + 60.0 * minutes

    @property
    def left(self) -> float:
        return self._end - time.monotonic()

    def say(self, what: str) -> None:
        print(f"[{self.left:4.0f} s left] {what}", file=sys.stderr, flush=True)


def without_graphs(target: CausalLM) -> list[CausalLM]:
    """The same weights computed kernel by kernel, if the target's passes are recorded."""
    return [CausalLM(target.loaded, "eager")] if target.kernels == "graphs" else []


def call_times(sizes: Sizes, device: str, deadline: Deadline) -> list[dict[str, object]]:
    """Quarters of the seconds of calls, a row for each kind of kernels, context and P."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(sizes.shape))
        target = shaped_target(config, device, sizes.dtype).model
    deadline.say(f"{target.layers} layers made; reading contexts of {sizes.contexts} tokens")
    texts = [[place % 500 for place in range(context)] for context in sizes.contexts]
    targets = {one.kernels: one for one in (target, *without_graphs(target))}
    timers = {kernels: CallTimer(one, texts, sizes.node_budgets) for kernels, one in targets.items()}
    for timer in timers.values():
        timer.round()  # buffers are made, and passes recorded, when a size is met first
    taken: dict[str, list[np.ndarray]] = {kernels: [] for kernels in timers}
    for number in range(sizes.rounds):
        for kernels, timer in timers.items():
            taken[kernels].append(timer.round()[0])
        if deadline.left < 60 and number >= 2:
            deadline.say(f"call times: {number + 1} of {sizes.rounds} rounds")
            break
    quarters = {
        key: np.quantile(np.stack(rounds), [0.25, 0.5, 0.75], axis=0) for key, rounds in taken.items()
    }
    return [
        {
            "kernels": kernels,
            "context": context,
            "node_budget": budget,
            "rounds": len(taken[kernels]),
            "seconds": middle[row, column],
            "quarters": [low[row, column], high[row, column]],
        }
        for kernels, (low, middle, high) in quarters.items()
        for row, context in enumerate(sizes.contexts)
        for column, budget in enumerate(sizes.node_budgets)
    ]


def decoding(target: CausalLM, sizes: Sizes, deadline: Deadline) -> list[dict[str, object]]:
    """Tokens per second of decoders that take turns, a row for each and each temperature."""
    chosen_of = {"none": (1,), "ngram": (8,), "eagle3": (4, 16, AUTO)}
    decoders = {
        Decoding(target.kernels, drafter, budget): peers.ours(target, drafter, budget)
        for drafter, budgets in chosen_of.items()
        for budget in budgets
    }
    for eager in without_graphs(target):
        for drafter, budget in (("none", 1), ("eagle3", 16)):
            decoders[Decoding(eager.kernels, drafter, budget)] = peers.ours(eager, drafter, budget)
    shipped = shipped_prompts()
    families = dict.fromkeys(prompt.family for prompt in shipped)
    chosen = [p for name in families for p in [q for q in shipped if q.family == name][-sizes.prompts :]]
    prompts = {prompt.prompt_id: prompt_token_ids(target, prompt.turns[0]) for prompt in chosen}
    for temperature in TEMPERATURES:  # the first calls of all take longer
        for decode in decoders.values():
            decode(next(iter(prompts.values())), temperature, min(sizes.tokens, 24), 0)
    rows: list[dict[str, object]] = []
    for temperature in TEMPERATURES:
        timed: list[TimedPrompt] = []
        for number, (name, ids) in enumerate(prompts.items()):
            if deadline.left < 20:
                deadline.say(f"temperature {temperature:g}: {number} of {len(prompts)} prompts")
                break
            runs = {
                str(key): partial(decode, ids, temperature, sizes.tokens, number)
                for key, decode in decoders.items()
            }
            timed.append(TimedPrompt(name, interleaved(runs, 1, backwards=number % 2 == 1)))
        if timed:
            rates = {key: tokens_per_second(timed, str(key)) for key in decoders}
            plain = {key.kernels: rate for key, rate in rates.items() if key.drafter == "none"}
            rows += [
                {
                    "kernels": key.kernels,
                    "decoder": key.name,
                    "temperature": temperature,
                    "prompts": len(timed),
                    "tokens_per_second": rate,
                    "over_plain": rate / plain[key.kernels],
                }
                for key, rate in rates.items()
            ]
    return rows


def drafting_ahead(sizes: Sizes, device: str, deadline: Deadline) -> list[dict[str, object]]:
    """A row for a drafter on the CPU, and one for a drafter on the device."""
    rows: list[dict[str, object]] = []
    for drafter_device in dict.fromkeys(("cpu", device)):
        if deadline.left < 90:
            deadline.say(f"drafting ahead on {drafter_device}: left out")
            break
        rows.append(bench_draft_ahead.pair_row(sizes.pair, device, drafter_device, sizes.tokens, 1, 2))
    return rows


def show(times: list[dict[str, object]], rates: list[dict[str, object]]) -> None:
    print(f"{'kernels':10}{'context':>8}{'P':>5}{'ms':>10}{'quarters':>20}{'over P = 1':>12}")
    for row in times:
        first = next(one for one in times if all(one[key] == row[key] for key in ("kernels", "context")))
        low, high = (1000 * float(value) for value in row["quarters"])  # pyright: ignore[reportGeneralTypeIssues]
        seconds, once = float(str(row["seconds"])), float(str(first["seconds"]))
        cells = f"{1000 * seconds:10.2f}{f'{low:.2f} to {high:.2f}':>20}{seconds / once:12.2f}"
        print(f"{row['kernels']:10}{row['context']:8}{row['node_budget']:5}{cells}")
    print(f"\n{'kernels':10}{'decoder':16}{'T':>4}{'tokens/s':>10}{'over plain':>12}")
    for row in rates:
        decoder = f"{row['kernels']:10}{row['decoder']:16}{row['temperature']:4g}"
        print(f"{decoder}{row['tokens_per_second']:10.1f}{row['over_plain']:12.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Call times and decoding on a CUDA device.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=7.0, help="time to use (default: 7)")
    parser.add_argument("--tokens", type=int, help="tokens decoded per prompt (default: 128)")
    parser.add_argument("--out", type=Path, help="file for the line of JSON")
    parser.add_argument("--tiny", action="store_true", help="small sizes: does it run?")
    options = parser.parse_args()
    sizes, deadline = SMALL if options.tiny else FULL, Deadline(options.minutes)
    if options.tokens is not None:
        sizes = replace(sizes, tokens=options.tokens)
    deadline.say("loading the default target")
    target = load(device=options.device)
    deadline.say("decoding the default target")
    rates = decoding(target, sizes, deadline)
    del target
    deadline.say("drafting ahead, a random pair")
    ahead = drafting_ahead(sizes, options.device, deadline)
    if options.device.startswith("cuda"):
        torch.cuda.empty_cache()
    deadline.say("making the model of 8B's sizes")
    times = call_times(sizes, options.device, deadline) if deadline.left > 60 else []
    deadline.say("done")
    show(times, rates)
    print()
    bench_draft_ahead.show(ahead)
    on_cuda = options.device.startswith("cuda")
    document = {
        "schema": 1,
        "benchmark": "on_cuda",
        "device": torch.cuda.get_device_name() if on_cuda else "cpu",
        "torch": torch.__version__,
        "dtype_of_call_times": sizes.dtype,
        "tiny": options.tiny,
        "tokens": sizes.tokens,
        "call_times": times,
        "decoding": rates,
        "drafting_ahead": ahead,
    }
    text = json.dumps(document)
    if options.out is not None:
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
