"""Speculative decoding behind Transformers' own `generate`: one more argument, the same law of texts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteriaList,
)
from transformers.generation.utils import GenerateDecoderOnlyOutput

from speclight.checks import whole_number
from speclight.decoding.batch_row import BatchRow, padding_of_rows
from speclight.decoding.call_trace import CallTrace
from speclight.decoding.decode import BATCH_SIZE, DecodeRequest, decode_batch
from speclight.decoding.options import chosen_decoding
from speclight.decoding.served_arguments import check_served
from speclight.decoding.settings import Auto, DecodeSettings
from speclight.drafting.drafter_choices import DrafterChoice
from speclight.drafting.protocol import Drafter
from speclight.drafting.tree_choices import TreeChoice
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.models.wrap import wrap
from speclight.verification.rule import VerifyRule

SEEDS_BELOW = 2**62


def transformers_generate(
    model: PreTrainedModel,
    input_ids: torch.LongTensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    drafter: str | DrafterChoice | Drafter | Sequence[Drafter] = "ngram",
    rule: str | VerifyRule = "target_sample",
    tree: TreeChoice | None = None,
    node_budget: int | Auto = 8,
    batch_size: int = BATCH_SIZE,
    on_call: Callable[[CallTrace], None] | None = None,
    target_tokenizer: PreTrainedTokenizerBase | None = None,
    **model_kwargs: object,
) -> torch.LongTensor | GenerateDecoderOnlyOutput:
    """The decoding loop for `model.generate(..., custom_generate=speclight.transformers_generate)`.

    Transformers prepares the arguments up to `generation_config` from those of `generate`: all its logits
    processors and stopping criteria hold, applied to each visited node with its own prefix. drafter, rule,
    tree, node_budget, batch_size, on_call: as in `speclight.generate_batch`; give them to `model.generate`.
    One seed for each row is drawn from torch's generator (`torch.manual_seed`), in their order. No cache is
    taken in or handed out.
    `generate` hands its own `tokenizer` to no function of another library, and so refuses `stop_strings`:
    give `stopping_criteria=[StopStringCriteria(tokenizer, strings)]` instead.
    target_tokenizer: only drafters that are other models need it, to compare vocabularies (`tokenizer`, the
    argument of `generate`, is not handed on by it).

    Returns [batch, longest] token ids, prompts included, padded on the right, or the output object asked for.
    Raises InvalidInput for beams, other ways of decoding, outputs that only exist per forward pass, and
    unservable models.
    """
    check_served(generation_config, input_ids, model_kwargs, inspect.currentframe())
    decoding = chosen_decoding(drafter=drafter, rule=rule, tree=tree)
    # Named in the signature, `generate` would take the mask away before preparing it.
    fronts = padding_of_rows(input_ids, model_kwargs.get("attention_mask"), model_kwargs.get("position_ids"))
    target = _target(model, target_tokenizer, generation_config)
    rows: list[list[int]] = input_ids.tolist()
    drawn = [_settings(generation_config, len(row), node_budget) for row in rows]
    drafters = replace(decoding, settings=drawn[0]).drafters(target, len(rows))
    requests = (
        _request(BatchRow(number, len(rows), front), row, chosen, plain, logits_processor, stopping_criteria)
        for number, (row, front, chosen, plain) in enumerate(zip(rows, fronts, drafters, drawn, strict=True))
    )
    texts = [list(row) for row in rows]
    for trace in decode_batch(target, decoding.rule, requests, whole_number("batch_size", batch_size)):
        texts[trace.text_number] += trace.emitted_tokens
        if on_call is not None:
            on_call(trace)
    return _output(texts, target, generation_config)


def _target(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None, config: GenerationConfig
) -> CausalLM:
    target = wrap(model, tokenizer or _NumberedTokens(model.config.get_text_config().vocab_size))
    ends = getattr(config, "_eos_token_tensor", None)
    target.end_of_text = frozenset() if ends is None else frozenset(ends.flatten().tolist())
    return target


class _NumberedTokens(PreTrainedTokenizerBase):
    """In place of a tokenizer that nobody handed over: tokens come in, tokens go out, no text is made."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self._size = vocabulary_size

    def get_vocab(self) -> dict[str, int]:
        return {f"token {number}": number for number in range(self._size)}


def _settings(config: GenerationConfig, prompt_tokens: int, node_budget: int | Auto) -> DecodeSettings:
    return DecodeSettings(
        node_budget=node_budget,
        max_tokens=1 if config.max_length is None else max(1, config.max_length - prompt_tokens),
        seed=int(torch.randint(SEEDS_BELOW, ())),
        # Temperature, top-k and top-p are among the processors, as Transformers prepared them.
        sampling=SamplingSettings(1.0 if config.do_sample else 0.0),
    )


def _request(
    row: BatchRow,
    token_ids: list[int],
    drafter: Drafter,
    plain: DecodeSettings,
    processors: LogitsProcessorList,
    criteria: StoppingCriteriaList,
) -> DecodeRequest:
    settings = replace(plain, processors=row.processors(processors), stop_criteria=(row.criterion(criteria),))
    prompt_ids = token_ids[row.front.shape[1] :]
    return DecodeRequest(prompt_ids, drafter, settings, prompt_name=f"row {row.number} of input_ids")


def _output(
    rows: list[list[int]], target: CausalLM, config: GenerationConfig
) -> torch.LongTensor | GenerateDecoderOnlyOutput:
    longest = max(len(row) for row in rows)
    fill = getattr(config, "_pad_token_tensor", None)
    padding = 0 if fill is None else int(fill)
    padded = torch.tensor([row + [padding] * (longest - len(row)) for row in rows], device=target.device)
    sequences = cast(torch.LongTensor, padded)
    return GenerateDecoderOnlyOutput(sequences=sequences) if config.return_dict_in_generate else sequences
