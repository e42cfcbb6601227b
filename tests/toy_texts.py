"""Texts that the toy target writes, with its states, as training stores them."""

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from speclight.training.shards import ScoredConversation

CHAT_TEMPLATE = "t1 t2 {{ messages[0]['content'] }} t3 t4"


def chatting(target):
    """Give the toy a tokenizer of words between spaces, and a chat template."""
    words = {f"t{index}": index for index in range(target.vocabulary_size)}
    words["[unk]"] = len(words)
    tokenizer = Tokenizer(WordLevel(words, unk_token="[unk]"))
    tokenizer.pre_tokenizer = Whitespace()
    target.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=CHAT_TEMPLATE)
    return target


def toy_texts(target, layers, texts=24, length=40, seed=0):
    """Texts sampled at temperature 1 by plain passes over the whole text."""
    rng = np.random.default_rng(seed)
    tokens = torch.from_numpy(rng.integers(0, target.vocabulary_size, (texts, 2)))
    while tokens.shape[1] < length:
        logits = target.model(tokens, use_cache=False).logits[:, -1]
        laws = torch.softmax(logits, dim=-1).numpy()
        drawn = [rng.choice(len(law), p=law / law.sum()) for law in laws]
        tokens = torch.cat([tokens, torch.tensor(drawn)[:, None]], dim=1)
    output = target.model(tokens, use_cache=False, output_hidden_states=True)
    features = torch.cat([output.hidden_states[layer] for layer in layers], dim=-1).float()
    last = output.hidden_states[-1].float()
    return [
        ScoredConversation(tokens[row].int(), features[row], last[row], 2, 4, 1.0) for row in range(texts)
    ]
