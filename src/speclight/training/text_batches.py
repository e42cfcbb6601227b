"""Batches of texts padded to one length, and which texts are never trained on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from speclight.errors import InvalidInput
from speclight.training.shards import ScoredConversation, read_shard, shard_paths, tokens_of_shard

# One text in this many is held out for measuring and never trained on.
HELD_OUT_EVERY = 16
# Shards whose texts are mixed with each other; what is in memory at a time.
SHARDS_MIXED = 8
# Shards read at the same time, while others are trained on: reading is mostly copying and checksums.
READERS = 4
# Tokens that a head's start, its scales and its vocabulary are computed from, of however many there are.
ENOUGH_TOKENS = 250_000


@dataclass(frozen=True, slots=True, eq=False)
class TextBatch:
    """Texts side by side, padded at the end.

    At position p a head is given the target's features there and the token after it, and asked for the law of
    the token after that. token_ids: [texts, positions + 1], all of each text. features: [texts, positions,
    layers * hidden size]. next_states: [texts, positions, hidden size] the target's last states at p + 1,
    which give that law; both in the type they are stored in. weights: [texts, positions] of each position in
    the loss, 0 where nothing is learnt.
    """

    token_ids: torch.Tensor
    features: torch.Tensor
    next_states: torch.Tensor
    weights: torch.Tensor

    def on(self, device: torch.device) -> TextBatch:
        """The same batch on a device, its states in float32."""
        return TextBatch(
            self.token_ids.to(device),
            self.features.to(device).float(),
            self.next_states.to(device).float(),
            self.weights.to(device),
        )

    @property
    def next_tokens(self) -> torch.Tensor:
        """[texts, positions] the token after each position."""
        return self.token_ids[:, 1:]

    @property
    def tokens(self) -> int:
        """Positions with a weight."""
        return int((self.weights > 0).sum())


def text_batch(texts: list[ScoredConversation], request_weight: float) -> TextBatch:
    """Texts of at least two tokens, padded. request_weight: of what the target wrote as the user."""
    length = max(len(text.tokens) for text in texts) - 1
    first = texts[0]
    token_ids = torch.zeros(len(texts), length + 1, dtype=torch.long)
    features = first.features.new_zeros(len(texts), length, first.features.shape[1])
    next_states = first.last_states.new_zeros(len(texts), length, first.last_states.shape[1])
    weights = torch.zeros(len(texts), length)
    for row, text in enumerate(texts):
        end = len(text.tokens) - 1
        token_ids[row, : end + 1] = text.tokens
        features[row, :end] = text.features[:-1]
        next_states[row, :end] = text.last_states[1:]
        # Position p is about the token at p + 2.
        weights[row, max(text.written_from - 2, 0) : end] = request_weight
        weights[row, max(text.answer_from - 2, 0) : end] = 1.0
    return TextBatch(token_ids, features, next_states, weights)


def _training_texts(path: Path) -> list[ScoredConversation]:
    """The texts of a shard that may be trained on."""
    return [text for index, text in enumerate(read_shard(path)) if index % HELD_OUT_EVERY]


def some_texts(folder: Path) -> list[ScoredConversation]:
    """Texts that may be trained on, those of the first shards, enough for scales and a vocabulary.

    Raises InvalidInput for a folder without any.
    """
    texts: list[ScoredConversation] = []
    tokens = 0
    for path in shard_paths(folder):
        texts += _training_texts(path)
        tokens += tokens_of_shard(path)
        if tokens >= ENOUGH_TOKENS:
            break
    if not texts:
        raise InvalidInput(f"{folder} holds no texts to train on; sample some first")
    return texts


def held_out_texts(paths: list[Path]) -> Iterator[ScoredConversation]:
    """The texts of some shards that are never trained on; a shard is read when its turn comes."""
    for path in paths:
        yield from read_shard(path)[::HELD_OUT_EVERY]


def epoch_batches(
    paths: list[Path], batch_tokens: int, request_weight: float, generator: torch.Generator
) -> Iterator[TextBatch]:
    """Every training text once, in random order; texts of like length share a batch, to save padding.

    The next shards are read while these are trained on.
    """
    order = [paths[index] for index in torch.randperm(len(paths), generator=generator).tolist()]
    mixed = [order[start : start + SHARDS_MIXED] for start in range(0, len(order), SHARDS_MIXED)]
    with ThreadPoolExecutor(READERS, "speclight-shards") as readers:
        waiting = readers.map(_training_texts, mixed[0])
        for following in [*mixed[1:], []]:
            texts = [text for shard in waiting for text in shard]
            waiting = readers.map(_training_texts, following)
            groups = _alike_in_length(texts, batch_tokens, generator)
            for index in torch.randperm(len(groups), generator=generator).tolist():
                yield text_batch(groups[index], request_weight)


def _alike_in_length(
    texts: list[ScoredConversation], batch_tokens: int, generator: torch.Generator
) -> list[list[ScoredConversation]]:
    jitter = (0.9 + 0.2 * torch.rand(len(texts), generator=generator)).tolist()
    by_length = sorted(zip(jitter, texts, strict=True), key=lambda pair: len(pair[1].tokens) * pair[0])
    groups: list[list[ScoredConversation]] = [[]]
    longest = 0
    for _, text in by_length:
        longest = max(longest, len(text.tokens))
        if groups[-1] and longest * (len(groups[-1]) + 1) > batch_tokens:
            groups.append([])
            longest = len(text.tokens)
        groups[-1].append(text)
    return groups
