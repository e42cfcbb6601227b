"""Texts that a head is examined on: the target's answers to some prompts, with its states and laws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from speclight.models.batch_sampling import sample_continuations
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings


@dataclass(frozen=True, slots=True, eq=False)
class AnsweredPrompt:
    """A text of the target. start: of its answer. states: by layer, [positions, hidden] entering it. laws:
    [answer, vocabulary] of the token after each position from start on, float32, temperature 1.
    """

    tokens: list[int]
    start: int
    states: dict[int, torch.Tensor]
    laws: torch.Tensor


class AnsweredPrompts:
    """The answers of a target at temperature 1 under one chat template after another, none written twice.

    prompts: user turns. layers: whose states are kept in any case, besides those asked for; several heads can
    then be examined on one set of passes.
    """

    def __init__(
        self,
        target: CausalLM,
        prompts: Sequence[str],
        max_tokens: int = 32,
        seed: int = 0,
        layers: Sequence[int] = (),
    ) -> None:
        self.target, self.prompts = target, prompts
        self._max_tokens, self._seed = max_tokens, seed
        self._layers = set(layers)
        self._known: dict[tuple[tuple[int, ...], ...], list[AnsweredPrompt]] = {}

    def questions(self, template: object) -> tuple[tuple[int, ...], ...]:
        """The prompts' tokens under a chat template; no template: as they are."""
        encode = self.target.tokenizer.encode
        if not isinstance(template, str):
            return tuple(tuple(encode(prompt)) for prompt in self.prompts)
        rendered: list[tuple[int, ...]] = []
        for prompt in self.prompts:
            text = self.target.tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}],
                chat_template=template,
                add_generation_prompt=True,
                tokenize=False,
            )
            assert isinstance(text, str)  # one conversation, not tokenised
            rendered.append(tuple(encode(text, add_special_tokens=False)))
        return tuple(rendered)

    def under(self, template: object, layers: Sequence[int]) -> list[AnsweredPrompt]:
        """The texts, with the states of at least these layers. Raises what `sample_continuations` raises."""
        questions = self.questions(template)
        known = self._known.get(questions)
        if known is None or not set(layers) <= known[0].states.keys():
            self._layers |= set(layers)
            known = self._known[questions] = self._answered([list(question) for question in questions])
        return known

    @torch.inference_mode()
    def _answered(self, questions: list[list[int]]) -> list[AnsweredPrompt]:
        layers = tuple(sorted(self._layers))
        seeds = [self._seed + index for index in range(len(questions))]
        sampling = SamplingSettings(1.0)
        answers = sample_continuations(self.target, questions, self._max_tokens, sampling, seeds)
        texts: list[AnsweredPrompt] = []
        for question, answer in zip(questions, answers, strict=True):
            tokens = question + list(answer.token_ids)
            output = self.target.read(self.target.new_cache(), tokens, len(answer.token_ids), layers)
            assert output.features is not None  # layers were asked for
            states = dict(zip(layers, output.features[0].chunk(len(layers), dim=-1), strict=True))
            # Float32: laws are by far the largest thing kept.
            laws = torch.softmax(output.logits[0].float(), dim=-1).cpu()
            texts.append(AnsweredPrompt(tokens, len(question), states, laws))
        return texts
