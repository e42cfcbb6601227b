"""The pieces of a stream are the text, whatever the kind of tokenizer and however its tokens come."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from speclight.decoding.text_pieces import TextPieces

# Words, bits of contractions, punctuation and bytes of characters: all that decoders glue or take apart.
WORDS = [
    "he",
    "do",
    "n",
    "'",
    "t",
    "s",
    "ve",
    "re",
    "m",
    "n't",
    "'s",
    "'ve",
    ".",
    ",",
    "?",
    "!",
    "é",
    "\u4e2d",
    "\ufffd",
]
BYTES = [0x41, 0x80, 0xA9, 0xAD, 0xB8, 0xC3, 0xE4, 0xF0, 0x9F, 0x98, 0x82, 0xFF]


def byte_level():
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġhe", "Ġdo", "n't", "Ġ.", "ä¸", "<end>"]
    backend = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    return backend, len(tokens)


def byte_fallback():
    pieces = [
        "<unk>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        *WORDS,
        *("▁" + word for word in WORDS),
        "<end>",
    ]
    backend = Tokenizer(
        models.BPE(
            vocab={piece: i for i, piece in enumerate(pieces)},
            merges=[],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return backend, len(pieces)


def unigram():
    pieces = ["<unk>", "▁", *WORDS, *("▁" + word for word in WORDS), "<end>"]
    backend = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=0))
    backend.decoder = decoders.Metaspace()
    return backend, len(pieces)


def word_piece():
    pieces = ["[UNK]", *WORDS, *("##" + word for word in WORDS), "<end>"]
    backend = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return backend, len(pieces)


KINDS = {build.__name__: build for build in (byte_level, byte_fallback, unigram, word_piece)}


def target_with(kind, cleans_up):
    backend, size = KINDS[kind]()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<end>",
        clean_up_tokenization_spaces=cleans_up,
        clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output=True,
    )

    def text_of(token_ids):
        return tokenizer.decode(list(token_ids), skip_special_tokens=True)

    return cast(Any, SimpleNamespace(tokenizer=tokenizer, text_of=text_of)), size


@pytest.mark.parametrize("cleans_up", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_pieces_are_the_text(kind, cleans_up):
    target, size = target_with(kind, cleans_up)
    vocabulary = target.tokenizer.get_vocab()
    of_bytes = [vocabulary[name] for byte in BYTES if (name := f"<0x{byte:02X}>") in vocabulary]
    token = st.integers(0, size - 1) | st.sampled_from(of_bytes or [0])

    @settings(max_examples=2 * settings.default.max_examples, derandomize=True)
    @given(st.lists(st.lists(token, min_size=1, max_size=4), max_size=12))
    def holds(parts):
        pieces = TextPieces(target)
        shown = "".join(pieces.add(part) for part in parts) + pieces.finish()
        assert shown == target.text_of([token for part in parts for token in part])

    holds()


@pytest.mark.parametrize("cleans_up", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_long_streams_of_single_tokens_are_the_text(kind, cleans_up):
    """Hypothesis likes short texts; a space is taken back deep inside of a long one."""
    target, size = target_with(kind, cleans_up)
    drawn = np.random.default_rng(0).integers(0, size, (200, 20)).tolist()
    for tokens in drawn:
        pieces = TextPieces(target)
        assert "".join(pieces.add([token]) for token in tokens) + pieces.finish() == target.text_of(tokens)


def test_text_is_not_held_back_for_long():
    """A stream that only came at its end would be no stream."""
    for kind in KINDS:
        target, _ = target_with(kind, cleans_up=True)
        vocabulary = target.tokenizer.get_vocab()
        names = {"byte_level": ("Ġhe", "Ġdo"), "word_piece": ("he", "do")}.get(kind, ("▁he", "▁do"))
        pieces, tokens = TextPieces(target), [vocabulary[name] for name in names] * 20
        shown = ""
        for count, one in enumerate(tokens, start=1):
            shown += pieces.add([one])
            assert len(shown) >= len(target.text_of(tokens[:count])) - 4
