"""Tiny targets for tests: real Transformers models, random weights, logits that depend on the whole history.

`broken_*` twins carry one deliberate fault each. A losslessness test that passes on a twin tests nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from speclight.models.causal_lm import CausalLM
from speclight.models.weights import LoadedModel

WEIGHT_SCALE = (
    0.6  # wide enough that laws differ clearly between contexts, narrow enough that none is one-hot
)


def tiny_llama(vocabulary_size: int = 3, seed: int = 0, layers: int = 2, window: int = 64) -> PreTrainedModel:
    """A Llama of a few thousand weights; end of text is outside the vocabulary unless a test sets it."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=window,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    model = LlamaForCausalLM(config)
    _spread(model)
    return model


def _spread(model: PreTrainedModel) -> None:
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=WEIGHT_SCALE)
            weight.data.mul_(2.0 if "lm_head" in name else 1.0)


def word_tokenizer(vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Token i is written "ti"; words stand between spaces; a chat is its contents and one "t1"."""
    words = {f"t{index}": index for index in range(vocabulary_size)}
    splitter = Tokenizer(WordLevel(words, unk_token="t0"))
    splitter.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=splitter)
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %} t1"
    return tokenizer


def as_target(model: PreTrainedModel, end_of_text: frozenset[int] = frozenset()) -> CausalLM:
    """Wrap a model built in a test (float64, so that exactness tests see no float32 rounding)."""
    model = model.eval().requires_grad_(False).to(torch.float64)
    size = model.config.get_text_config().vocab_size
    target = CausalLM(
        LoadedModel(
            model, word_tokenizer(size), name="toy", source="folder", weights_sha256=None, revision=None
        )
    )
    target.end_of_text = end_of_text
    return target


def tiny_target(
    vocabulary_size: int = 3,
    seed: int = 0,
    end_of_text: frozenset[int] = frozenset(),
    window: int = 64,
    layers: int = 2,
) -> CausalLM:
    """The toy most tests use; of one layer where no layer is skipped or read, since passes take most time."""
    return as_target(tiny_llama(vocabulary_size, seed, layers, window), end_of_text)


def law_after(target: CausalLM, token_ids: list[int]) -> np.ndarray:
    """[vocab] law of the next token, by one plain pass over the text: no cache, tree or mask of ours."""
    logits = target.model(torch.tensor([token_ids]), use_cache=False).logits[0, -1].double()
    return torch.softmax(logits, dim=-1).numpy()


def laws_along(target: CausalLM, token_ids: Sequence[int], path: Sequence[int]) -> np.ndarray:
    """[1 + path, vocab] laws after the text and after each further token of a path, by one plain pass."""
    logits = target.model(torch.tensor([[*token_ids, *path]]), use_cache=False).logits[0, -1 - len(path) :]
    return torch.softmax(logits.double(), dim=-1).numpy()


def exact_text_law(target: CausalLM, prompt: list[int], length: int) -> dict[tuple[int, ...], float]:
    """Probability of every text of `length` tokens after the prompt, by the chain rule; one plain pass."""
    texts = list(itertools.product(range(target.vocabulary_size), repeat=length))
    logits = target.model(torch.tensor([[*prompt, *text] for text in texts]), use_cache=False).logits
    laws = torch.softmax(logits[:, -1 - length : -1].double(), dim=-1).numpy()  # [texts, length, vocab]
    return {
        text: float(np.prod([law[token] for law, token in zip(steps, text, strict=True)]))
        for text, steps in zip(texts, laws, strict=True)
    }


def broken_mask(tree_length: int) -> np.ndarray:
    """The mask of a chain laid over a tree."""
    return np.tril(np.ones((tree_length, tree_length), dtype=np.bool_))
