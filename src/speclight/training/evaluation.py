"""Answers that the target has given once, for drafters to be replayed on."""

from __future__ import annotations

import torch

from speclight.models.batch_sampling import sample_continuations
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import prompt_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.training.shards import ScoredConversation


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
        states = target.prefill(target.new_cache(), tokens, (*layers, target.output_state))
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
