"""Where we stand among what people run: the same prompts, the same counted tokens, in turn, in one run.

speclight (plain, n-gram, the shipped head, auto; the best kernels here and eager ones), Transformers (plain,
prompt lookup, assisted by --assistant), llama.cpp (plain and n-gram; its Q4 file is another target: fewer
bytes a weight), and running vLLM or other OpenAI-like servers by --server. Tokens per second: totals over
totals, with the least and the largest of single prompts. Beside them the machine's ceilings (reading every
weight once a token at the measured bandwidth) and, at temperatures above 0, the limit in tokens per second of
speculation with deterministic drafts along the plain texts. Ratios are over Transformers' plain decoding.
Claims, at temperature 0: `auto` with the shipped head, geometric mean over families, is at least 2.5 times
Transformers' plain decoding and at least 1.5 times the best of its ways in each family. About eight minutes.

    python benchmarks/bench_peers.py [--prompts 1] [--tokens 32] [--rounds 1] [--temperatures 0 1]

Prints tables for people, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from math import exp, log

import torch

import peers
from speclight.decoding.generate import generate_from_ids
from speclight.decoding.settings import AUTO, DecodeSettings
from speclight.drafting.no_drafter import NoDrafter
from speclight.measure.latency.call_work import call_work
from speclight.measure.latency.calls import CallTimer, time_calls
from speclight.measure.latency.ceilings import flops_per_second, memory_bytes_per_second
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.latency.roofline import Ceilings
from speclight.measure.paired_times import TimedPrompt, TimedRun, interleaved, tokens_per_second
from speclight.measure.prompts import shipped_prompts
from speclight.measure.run_checks import scored_text
from speclight.models.causal_lm import CausalLM
from speclight.models.load import load
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.theory.ergodic.seconds import fastest_decode

BASE = "Transformers, plain"
SIZES = (1, 2, 4, 8, 16, 32, 64)
CALL_ROUNDS = 5


def decoders_of(
    options: argparse.Namespace, fast: CausalLM, eager: CausalLM, stack: ExitStack
) -> dict[str, peers.Decoder | None]:
    """Every decoder by name; None for one that is missing here."""
    found: dict[str, peers.Decoder | None] = {}
    for kernels, target in ((fast.kernels, fast), ("eager", eager)):
        found[f"speclight {kernels}, plain"] = peers.ours(target, "none", 1)
        found[f"speclight {kernels}, n-gram P = 8"] = peers.ours(target, "ngram", 8)
        found[f"speclight {kernels}, eagle3 P = 2"] = peers.ours(target, "eagle3", 2)
        found[f"speclight {kernels}, auto"] = peers.ours(target, "eagle3", AUTO)
    found[BASE] = peers.transformers(eager)
    found["Transformers, prompt lookup"] = peers.transformers(
        eager, prompt_lookup_num_tokens=peers.LOOKUP_TOKENS
    )
    assistant = None if options.assistant is None else load(options.assistant).model
    found["Transformers, assisted"] = (
        None if assistant is None else peers.transformers(eager, assistant_model=assistant)
    )
    for name, n_gram in (("plain", False), ("n-gram", True)):
        address = stack.enter_context(peers.llama_cpp_of_default(options.threads, n_gram))
        found[f"llama.cpp Q4, {name}"] = peers.llama_cpp(address) if address else None
    for name, address in served(options.server).items():
        found[name] = peers.openai_server(address) if address else None
    return found


def served(given: Sequence[str]) -> dict[str, str | None]:
    """Addresses by name, of NAME=ADDRESS each; vLLM's two ways without any."""
    found: dict[str, str | None] = {"vLLM, plain": None, "vLLM, n-gram": None}
    for one in given:
        name, _, address = one.partition("=")
        found[name] = address
    return found


def limit(target: CausalLM, prompts: dict[str, list[int]], temperature: float, tokens: int) -> float:
    """Most tokens per second of deterministic drafts along the plain loop's texts, with T measured here."""
    sampling = SamplingSettings(temperature)
    settings = DecodeSettings(1, tokens, sampling=sampling)
    texts = []
    for name, ids in prompts.items():
        made = generate_from_ids(target, ids, NoDrafter(), peers.RULE, settings)
        texts.append(scored_text(target, ids, made.token_ids, sampling, name))
    shortest, longest = (choose(prompts.values(), key=len) for choose in (min, max))
    timer = CallTimer(target, [shortest, longest], SIZES)
    taken = time_calls(timer, CALL_ROUNDS)
    curve = CallTimeCurve.of_rounds(timer.node_budgets, timer.context_tokens, taken[:, 0])
    growth = curve.least_seconds_per_context_token
    contexts = [len(ids) - len(shortest) for ids in prompts.values()]
    return fastest_decode(texts, curve.by_size(len(shortest)), growth, contexts).going_on.value


def main() -> None:
    parser = argparse.ArgumentParser(description="speclight among what people run.")
    parser.add_argument("--prompts", type=int, default=1, help="of each family (default: 1)")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of each text (default: 32)")
    parser.add_argument("--rounds", type=int, default=1, help="times each prompt is decoded (default: 1)")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.0, 1.0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--assistant", help="folder of a small model for Transformers' assisted decoding")
    parser.add_argument(
        "--server",
        action="append",
        default=[],
        help="name and address of a running server of the same target that speaks OpenAI's completions, as "
        "'vLLM, plain=http://127.0.0.1:8000'; repeat it for several (make engine-vllm starts one)",
    )
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    fast, eager = load(), load(kernels="eager")
    work = call_work(fast)
    ceilings = Ceilings(
        memory_bytes_per_second(fast.device, fast.model.dtype),
        flops_per_second(fast.device, fast.model.dtype),
    )
    rows: list[dict[str, object]] = []
    with ExitStack() as stack:
        named = decoders_of(options, fast, eager, stack)
        for missing in [name for name, decoder in named.items() if not decoder]:
            print(f"missing: {missing}")
        decoders = {name: decoder for name, decoder in named.items() if decoder}
        families = prompts_by_family(fast, options.prompts)
        for decoder in decoders.values():  # the first calls of all take longer
            decoder(next(iter(next(iter(families.values())).values())), 0.0, 8, 0)
        for temperature in options.temperatures:
            timed = {
                family: timed_prompts(prompts, decoders, temperature, options)
                for family, prompts in families.items()
            }
            rows += table(timed, list(decoders), temperature)
            if temperature == 0.0:
                rows.append(claims(timed, f"speclight {fast.kernels}, auto", list(decoders)))
            if temperature > 0.0:
                every = {name: ids for prompts in families.values() for name, ids in prompts.items()}
                most = limit(fast, every, temperature, options.tokens)
                print(f"limit of speculation with deterministic drafts here: {most:.1f} tokens per second")
                rows.append({"temperature": temperature, "limit_tokens_per_second": most})
    if work is not None:
        once = 1.0 / ceilings.least_seconds(work, 1, 256)
        print(f"ceiling of one token a call (weights read once, 256 tokens of context): {once:.1f} tokens/s")
        rows.append({"ceiling_tokens_per_second": once})
    print(json.dumps({"schema": 1, "benchmark": "peers", "threads": options.threads, "rows": rows}))


def prompts_by_family(target: CausalLM, count: int) -> dict[str, dict[str, list[int]]]:
    shipped = shipped_prompts()
    return {
        family: {
            prompt.prompt_id: prompt_token_ids(target, prompt.turns[0])
            for prompt in [one for one in shipped if one.family == family][-count:]
        }
        for family in dict.fromkeys(prompt.family for prompt in shipped)
    }


def timed_prompts(
    prompts: dict[str, list[int]],
    decoders: dict[str, peers.Decoder],
    temperature: float,
    options: argparse.Namespace,
) -> list[TimedPrompt]:
    def run(decode: peers.Decoder, ids: list[int], number: int) -> TimedRun:
        peers.wait_until_idle()
        return decode(ids, temperature, options.tokens, number)

    timed: list[TimedPrompt] = []
    print(f"temperature {temperature:g}: {', '.join(prompts)}", file=sys.stderr, flush=True)
    for number, (name, ids) in enumerate(prompts.items()):
        runs = {key: partial(run, decode, ids, number) for key, decode in decoders.items()}
        timed.append(TimedPrompt(name, interleaved(runs, options.rounds, backwards=number % 2 == 1)))
    return timed


def claims(timed: dict[str, list[TimedPrompt]], ours: str, decoders: Sequence[str]) -> dict[str, object]:
    """Print our claims beside what they came to; geometric means over families."""
    theirs = [name for name in decoders if name.startswith("Transformers")]
    over_plain, over_best = 0.0, 0.0
    for prompts in timed.values():
        rate = log(tokens_per_second(prompts, ours))
        over_plain += rate - log(tokens_per_second(prompts, BASE))
        over_best += rate - log(max(tokens_per_second(prompts, name) for name in theirs))
    found = {"over_plain": exp(over_plain / len(timed)), "over_best_mode": exp(over_best / len(timed))}
    print(f"{ours}: {found['over_plain']:.2f} of Transformers' plain decoding, claimed 2.5 at least;")
    print(f"  {found['over_best_mode']:.2f} of its best way in each family, claimed 1.5 at least")
    return {"claims": found, "at_least": {"over_plain": 2.5, "over_best_mode": 1.5}}


def table(
    timed: dict[str, list[TimedPrompt]], decoders: Sequence[str], temperature: float
) -> list[dict[str, object]]:
    """Print one temperature's table and return its rows."""
    print(f"\ntemperature {temperature:g}, tokens per second")
    print(f"{'':32}" + "".join(f"{family:>15}" for family in timed) + f"{'ratio':>8}{'least':>8}{'most':>8}")
    rows: list[dict[str, object]] = []
    for name in decoders:
        rates = {family: tokens_per_second(prompts, name) for family, prompts in timed.items()}
        over = [log(rate / tokens_per_second(timed[family], BASE)) for family, rate in rates.items()]
        ratio = exp(sum(over) / len(over))
        single = [tokens_per_second([prompt], name) for prompts in timed.values() for prompt in prompts]
        rows.append(
            {
                "decoder": name,
                "temperature": temperature,
                "tokens_per_second": rates,
                "ratio": ratio,
                "least": min(single),
                "most": max(single),
            }
        )
        shown = "".join(f"{rate:15.1f}" for rate in rates.values())
        print(f"{name:32}{shown}{ratio:8.2f}{min(single):8.1f}{max(single):8.1f}")
    return rows


if __name__ == "__main__":
    main()
