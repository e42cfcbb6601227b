"""A drafter's tokens per call and cross-entropy on answers the target has given once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from speclight.drafting.protocol import LawSource
from speclight.models.batch_sampling import sample_continuations
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.training.shards import ScoredConversation
from speclight.trees.growing_tree import GrowingTree


def scored_answers(
    target: CausalLM,
    prompts: list[str],
    layers: tuple[int, ...],
    temperature: float,
    max_tokens: int,
    seed: int,
) -> list[ScoredConversation]:
    """The target's own answers with its states, one batch to sample and one pass per text to score.

    layers: whose entering states are kept. Raises what `sample_continuations` and `prompt_token_ids` raise.
    """
    questions = [prompt_token_ids(target, prompt) for prompt in prompts]
    seeds = [seed + index for index in range(len(prompts))]
    answers = sample_continuations(target, questions, max_tokens, SamplingSettings(temperature), seeds)
    texts: list[ScoredConversation] = []
    for question, answer in zip(questions, answers, strict=True):
        tokens = question + list(answer.token_ids)
        states = target.prefill(target.new_cache(), tokens, (*layers, target.layers))
        assert states is not None  # layers were asked for
        width = states.shape[1] // (len(layers) + 1)
        texts.append(
            ScoredConversation(
                tokens=torch.tensor(tokens, dtype=torch.int32),
                features=states[:, :-width],
                last_states=states[:, -width:],
                written_from=len(question),
                answer_from=len(question),
                temperature=temperature,
            )
        )
    return texts


@dataclass(frozen=True, slots=True, eq=False)
class LawPairs:
    """What Lemma 7 asks about a drafter, position by position of the answers, [positions] each.

    missed: the target's probability (temperature 1) of tokens that the drafter cannot draft. cross_entropies:
    nats, the sum of -p ln q over the others. overlaps: the sum of min(p, q), the acceptance of one sampled
    draft. entropies: of the target's law, nats. surprisals and second_surprisals of the drafter under itself:
    the sums of -q ln q and of q (ln q)^2.
    """

    missed: np.ndarray
    cross_entropies: np.ndarray
    overlaps: np.ndarray
    entropies: np.ndarray
    drafter_entropies: np.ndarray
    drafter_second: np.ndarray


def law_pairs(
    source: LawSource, texts: list[ScoredConversation], output_rows: torch.Tensor, every: int
) -> LawPairs:
    """Both laws at every `every`-th position of the answers, the drafter fed with the target's own text.

    output_rows: [vocabulary, hidden] the target's output matrix.
    """
    rows: list[tuple[float, ...]] = []
    for text in texts:
        tokens = text.tokens.tolist()
        for place in range(text.answer_from, len(tokens), every):
            if place == text.answer_from:
                source.begin(tokens[:place], text.features[: place - 1])
            else:
                source.extend(tokens[place - every : place], text.features[place - every - 1 : place - 1])
            law = source.laws(GrowingTree(tokens[place - 1]), [0])[0]
            logits = (output_rows @ text.last_states[place - 1].to(output_rows)).double()
            rows.append(_pair(torch.softmax(logits, dim=0).numpy(), law.tokens, law.log_probs))
    return LawPairs(*np.array(rows).T)


def _pair(target: np.ndarray, tokens: np.ndarray, log_probs: np.ndarray) -> tuple[float, ...]:
    hit, drafter = target[tokens], np.exp(log_probs)
    return (
        max(0.0, 1.0 - float(hit.sum())),
        float(-(hit * log_probs).sum()),
        float(np.minimum(hit, drafter).sum()),
        float(-(target * np.log(np.maximum(target, np.finfo(float).tiny))).sum()),
        float(-(drafter * log_probs).sum()),
        float((drafter * log_probs**2).sum()),
    )
