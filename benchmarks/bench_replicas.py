"""Two replicas of an engine halve the time of a profile: two llama.cpp servers of one thread against one.

The default target's own Q4 file. The same prompts, lengths and seeds through `profile_engine`, one replica
and two in turn, in the order 1 2 2 1 1 2 ..., each into a new folder, with two requests in flight for each
replica; servers are new each time, since they keep the prompts that they have read. Reported: the seconds of
two over those of one, of each round and of all; 0.5 is a half, and the claim is 0.4 to 0.6. The client's own
work is in it, so the machine must have two idle cores.

    python benchmarks/bench_replicas.py [--texts 24] [--tokens 32] [--rounds 2]

Prints a table for people, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from speclight.engines.client import EngineClient, EngineSettings
from speclight.engines.profile_run import profile_engine
from speclight.measure.profile import Profile, ProfileSettings
from speclight.measure.prompts import Prompt, shipped_prompts

WARM_TOKENS = 4
SERVER = Path(__file__).with_name("llamacpp_server.py")


@contextmanager
def server_process() -> Iterator[str]:
    """The address of a server of one thread in a process of its own, as replicas are."""
    process = subprocess.Popen([sys.executable, str(SERVER)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        with process.stdout as lines:
            yield lines.readline().strip()
    finally:
        process.terminate()
        process.wait()


def timed_profile(urls: tuple[str, ...], prompts: tuple[Prompt, ...], tokens: int) -> tuple[float, Profile]:
    """Seconds of a whole profile through these replicas, and what it measured."""
    settings = ProfileSettings(max_tokens=tokens, batch_size=1)
    with (
        tempfile.TemporaryDirectory() as folder,
        EngineClient(EngineSettings(urls, concurrency=2 * len(urls))) as client,
    ):
        began = time.perf_counter()
        profile = profile_engine(client, prompts, settings, Path(folder))
        return time.perf_counter() - began, profile


def main() -> None:
    parser = argparse.ArgumentParser(description="Two replicas of an engine against one.")
    parser.add_argument("--texts", type=int, default=24, help="one for each prompt (default: 24)")
    parser.add_argument("--tokens", type=int, default=32, help="of each text at the most (default: 32)")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    shipped = shipped_prompts()
    prompts = shipped[:: max(1, len(shipped) // options.texts)][: options.texts]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for number in range(options.rounds):
        for replicas in (1, 2) if number % 2 == 0 else (2, 1):
            with ExitStack() as stack:
                urls = tuple(stack.enter_context(server_process()) for _ in range(replicas))
                for url in urls:
                    timed_profile((url,), shipped[-1:], WARM_TOKENS)
                taken, profile = timed_profile(urls, prompts, options.tokens)
            seconds[replicas].append(taken)
            tokens = sum(len(text.log_probs) for text in profile.texts)
            print(
                f"round {number + 1}, {replicas} replica(s): {taken:.1f} s, {tokens / taken:.1f} tokens/s",
                flush=True,
            )
    ratios = [two / one for one, two in zip(seconds[1], seconds[2], strict=True)]
    ratio = sum(seconds[2]) / sum(seconds[1])
    print(f"two replicas take {ratio:.3f} of the time of one ({min(ratios):.3f} to {max(ratios):.3f})")
    print(
        json.dumps(
            {
                "schema": 1,
                "benchmark": "replicas",
                "seconds_of_one": seconds[1],
                "seconds_of_two": seconds[2],
                "ratio": ratio,
                "halved_within_20_percent": 0.4 <= ratio <= 0.6,
            }
        )
    )


if __name__ == "__main__":
    main()
