"""Decoders that people run, behind one call: a prompt in token ids, and how fast it went on from there.

Tokens and seconds leave out the reading of the prompt and the token that comes with it, for everybody alike;
end of text is not obeyed, so that every decoder emits as many tokens. Each waits until the machine is idle:
for a second after an answer vLLM's threads still spin. A peer that is not installed is named as missing, with
what installs it.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import torch
from transformers import StoppingCriteriaList

from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import generate_from_ids
from speclight.decoding.settings import Auto, DecodeSettings
from speclight.drafting.protocol import Drafter
from speclight.measure.paired_times import TimedRun
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.verification.rules import RULES

RULE = RULES["target_sample"]
Decoder = Callable[[list[int], float, int, int], TimedRun]
"""Of a prompt, a temperature, a number of tokens and a seed."""
LOOKUP_TOKENS = 10  # of Transformers' guide
WAIT_SECONDS = 600.0
# Of all cores, looked at over so many seconds, and for how long an idle machine is waited for.
IDLE_PERCENT, LOOK_SECONDS, LONGEST_WAIT_SECONDS = 5.0, 0.2, 60.0


def wait_until_idle() -> None:
    """Return once nobody computes any more; raise RuntimeError where somebody goes on."""
    given_up = time.perf_counter() + LONGEST_WAIT_SECONDS
    while psutil.cpu_percent(LOOK_SECONDS) > IDLE_PERCENT:
        if time.perf_counter() > given_up:
            raise RuntimeError(
                f"got a machine that was busy for {LONGEST_WAIT_SECONDS:g} s without us, expected an idle "
                "one; stop what else runs on it"
            )


def ours(target: CausalLM, drafter: str, budget: int | Auto) -> Decoder:
    """Our loop with a drafter at a budget; its clock starts after the prompt."""
    made_once: dict[float, Drafter] = {}

    def decode(ids: list[int], temperature: float, tokens: int, seed: int) -> TimedRun:
        sampling = SamplingSettings(temperature)
        if temperature not in made_once:
            made_once[temperature] = drafter_for(target, drafter, RULE, sampling)
        made = generate_from_ids(
            target,
            ids,
            made_once[temperature],
            RULE,
            DecodeSettings(budget, tokens, seed=seed, sampling=sampling),
        )
        return TimedRun(len(made.token_ids), made.seconds)

    return decode


def transformers(target: CausalLM, **arguments: object) -> Decoder:
    """Transformers' generate; arguments choose its way of decoding."""

    def decode(ids: list[int], temperature: float, tokens: int, seed: int) -> TimedRun:
        torch.manual_seed(seed)
        given = torch.tensor([ids], device=target.device)
        laws = (
            {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
            if temperature > 0.0
            else {"do_sample": False}
        )
        ticks: list[tuple[float, int]] = []

        def note(input_ids: torch.Tensor, _scores: object, **_: object) -> torch.Tensor:
            ticks.append((time.perf_counter(), input_ids.shape[1]))
            return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

        generate: Any = target.model.generate
        generate(
            given,
            attention_mask=torch.ones_like(given),
            max_new_tokens=tokens + 1,
            min_new_tokens=tokens + 1,
            pad_token_id=0,
            stopping_criteria=StoppingCriteriaList([note]),
            **laws,
            **arguments,
        )
        (began, before), (ended, after) = ticks[0], ticks[-1]
        return TimedRun(after - before, ended - began)

    return decode


def llama_cpp(address: str) -> Decoder:
    """A llama.cpp server's own timings of what it emitted after the prompt."""
    client = httpx2.Client(base_url=address, timeout=WAIT_SECONDS)

    def decode(ids: list[int], temperature: float, tokens: int, seed: int) -> TimedRun:
        asked = {
            "prompt": ids,
            "n_predict": tokens,
            "temperature": temperature,
            "top_k": 0,
            "top_p": 1.0,
            "min_p": 0.0,
            "seed": seed,
            "ignore_eos": True,
            "cache_prompt": False,
        }
        answer = client.post("/completion", json=asked)
        answer.raise_for_status()
        timings = answer.json()["timings"]
        return TimedRun(timings["predicted_n"], timings["predicted_ms"] / 1000.0)

    return decode


def openai_server(address: str) -> Decoder:
    """Any server of OpenAI's completions (vLLM): the stream is timed from its first token on."""
    client = httpx2.Client(base_url=address, timeout=WAIT_SECONDS)
    (model, *_) = client.get("/v1/models").json()["data"]

    def decode(ids: list[int], temperature: float, tokens: int, seed: int) -> TimedRun:
        asked = {
            "model": model["id"],
            "prompt": ids,
            "max_tokens": tokens + 1,
            "temperature": temperature,
            "seed": seed,
            "ignore_eos": True,
            "stream": True,
        }
        began = 0.0
        with client.stream("POST", "/v1/completions", json=asked) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("data: {") and not began:
                    began = time.perf_counter()
        return TimedRun(tokens, time.perf_counter() - began)

    return decode


@contextmanager
def llama_cpp_of_default(threads: int, n_gram: bool) -> Iterator[str | None]:
    """The address of a llama.cpp server of the default target's own Q4 file; None if it is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        yield None
        return
    # In a process of its own: in ours, even an idle one makes every call of ours take twice as long.
    command = [sys.executable, str(Path(__file__).parent / "llamacpp_server.py"), "--threads", str(threads)]
    with subprocess.Popen(
        command + ["--speculates"] * n_gram, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
