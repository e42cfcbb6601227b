"""Filling a folder with sampled conversations, in pieces that can be interrupted anywhere."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.training.conversations import ConversationSampler, ConversationSettings
from speclight.training.shards import ScoredConversation, shard_paths, tokens_of_shard, write_shard

# Tokens in a shard: about five minutes of sampling on two cores, which is what an interruption loses.
SHARD_TOKENS = 16_000


def stored_tokens(folder: Path) -> int:
    """Tokens of all shards in a folder; only their headers are read."""
    return sum(tokens_of_shard(path) for path in shard_paths(folder))


def sample_until(
    target: CausalLM,
    folder: Path,
    layers: tuple[int, ...],
    tokens: int,
    settings: ConversationSettings,
    seed: int,
    progress: Progress = silent,
) -> int:
    """Add shards to a folder until it holds `tokens` tokens; returns how many it holds.

    A run that was interrupted goes on from a seed of its own, so texts are never repeated.
    """
    done = stored_tokens(folder)
    if done >= tokens:
        return done
    shard = len(shard_paths(folder))
    sampler = ConversationSampler(target, layers, settings, seed * 100_003 + shard)
    texts: list[ScoredConversation] = []
    waiting = 0
    with ThreadPoolExecutor(1, "speclight-shards") as writer:  # a GPU samples faster than a shard is written
        written = writer.submit(lambda: None)
        for text in sampler.conversations():
            texts.append(text)
            waiting += len(text.tokens)
            if waiting >= SHARD_TOKENS or done + waiting >= tokens:
                written.result()  # whatever it raised, before the next one
                path = folder / f"shard-{seed:04d}-{shard:05d}.safetensors"
                written = writer.submit(write_shard, path, texts)
                done, shard, texts, waiting = done + waiting, shard + 1, [], 0
            progress(min(done + waiting, tokens), tokens, "tokens sampled")
            if done >= tokens:
                break
        written.result()
    return done
