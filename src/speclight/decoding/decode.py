"""The loop of speculative decoding: draft, score, verify, commit; for one text or for several at once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from speclight.decoding.call_trace import CallTrace
from speclight.decoding.drafting_beside import DraftingBeside
from speclight.decoding.noise_streams import NoiseStreams
from speclight.decoding.running_text import DecodeRequest as DecodeRequest
from speclight.decoding.running_text import RunningText, naming
from speclight.decoding.settings import DecodeSettings as DecodeSettings
from speclight.drafting.protocol import Drafter
from speclight.errors import BrokenModelOutput, InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.scored_text import ScoredText, score_together
from speclight.trees.draft_tree import DraftTree
from speclight.verification.rule import VerifyRule

# Texts decoded at once if nothing else is said: their caches are in memory at the same time.
BATCH_SIZE = 8


def decode(
    target: CausalLM,
    drafter: Drafter,
    rule: VerifyRule,
    prompt_ids: list[int],
    settings: DecodeSettings,
    noise: NoiseStreams | None = None,
    text: ScoredText | None = None,
) -> Iterator[CallTrace]:
    """Decode a continuation of the prompt, one target call at a time.

    Stops after an end-of-text token, where the settings say so, after `max_tokens` tokens, or when the
    context window is full; the last trace says which. The text depends on the seed, the drafter and the
    budget; its law does not depend on the latter two. A drafter that fails is left out with a warning, see
    GuardedDrafter. noise, text: see DecodeRequest.
    Raises InvalidInput and ContextOverflow as ScoredText does, and InvalidInput for settings with draft_ahead
    and a drafter that cannot.
    """
    return decode_batch(target, rule, [DecodeRequest(prompt_ids, drafter, settings, noise, text)])


def decode_batch(
    target: CausalLM, rule: VerifyRule, requests: Iterable[DecodeRequest], batch_size: int = BATCH_SIZE
) -> Iterator[CallTrace]:
    """Decode several texts, each as `decode` would, with one target call for all of them at a time.

    Texts may be of any lengths, and draft trees of any sizes. At most batch_size texts are under way; when
    one ends, the next request takes its place. The traces come call by call, and within a call text by text;
    `text_number` tells whose they are. What a text becomes depends on its own request alone: neither the
    others nor the batch size change it (but for rounding where two tokens nearly tie).
    Each drafter drafts for its own text, one after the other; requests' drafters must be different objects
    that want the same hidden layers of the target.
    Raises what `decode` raises, with the name of the prompt, and InvalidInput for a batch_size below 1.
    """
    if batch_size < 1:
        raise InvalidInput(f"batch_size must be >= 1, got {batch_size}")
    waiting = enumerate(requests)
    running: list[RunningText] = []
    with DraftingBeside() as beside:
        while True:
            for number, request in itertools.islice(waiting, batch_size - len(running)):
                running.append(RunningText(target, rule, request, number))
            if not running:
                return
            trees = [text.draft() for text in running]
            clock = [time.perf_counter()]
            with beside.while_scoring(running):
                logits = _scored(running, trees)
                clock.append(time.perf_counter())
            clock.append(time.perf_counter())
            target_share, waiting_share = (np.diff(clock) / len(running)).tolist()
            for text, rows in zip(running, logits, strict=True):
                yield text.take(rows, target_share, waiting_share)
            running = [text for text in running if not text.is_finished]


def _scored(texts: Sequence[RunningText], trees: Sequence[DraftTree]) -> list[torch.Tensor]:
    try:
        return score_together([text.scored for text in texts], trees)
    except BrokenModelOutput:
        # Whose logits are broken is looked up only now, so that calls that go well need not look.
        for text, tree in zip(texts, trees, strict=True):
            text.scored.cache.keep([])
            with naming(text.prompt_name):
                text.scored.score(tree)
        raise
