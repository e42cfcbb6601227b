"""The GGUF tokenizer against llama.cpp's rule for `smollm`, and the default target's pinned ids."""

import json

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from models.tiny_gguf import vocabulary, write_tiny_gguf
from speclight.errors import CorruptWeights, InvalidInput
from speclight.models.conversion import converted_folder
from speclight.models.default_target import GGUF_SHA256, default_gguf
from speclight.models.gguf_file import open_gguf
from speclight.models.tokenizer import load_tokenizer, tokenizer_from_gguf

WINDOW = 128
LOST_CHARACTERS = "\x04\x06\x13\x14\x16\x1d"
# llama.cpp's two expressions for `smollm`, applied one after the other. White_Space is what its \s means;
# Python's \s adds four separators of ASCII.
NUMBER = r"\p{N}"
GPT_2 = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+"
    r"|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+"
)
# Unassigned characters move between categories with the Unicode version of each library.
text = st.text(st.characters(exclude_categories=("Cn", "Co", "Cs")), max_size=60)
# The cases that decide: digits next to spaces, letters, signs, line ends, other scripts' numbers.
awkward = st.text(st.sampled_from(" \n\t\r1209aZé½Ⅷ٣.,'s-_（　\x1c\xa0"), max_size=40)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = write_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")
    return tokenizer_from_gguf(open_gguf(path), WINDOW)


@pytest.fixture(scope="module")
def smollm():
    """As it was converted: reading it from the GGUF takes seconds, which is left to a slow test."""
    folder = converted_folder(default_gguf(), expected_sha256=GGUF_SHA256)
    return load_tokenizer(folder, trust_remote_code=False, local_files_only=True)


def llama_cpp_pieces(string):
    """Start and end of each piece: split out every number character, then GPT-2's split inside the rest."""
    pieces = []
    start = 0
    for number in [*regex.finditer(NUMBER, string), None]:
        end = number.start() if number else len(string)
        pieces += [(start + m.start(), start + m.end()) for m in regex.finditer(GPT_2, string[start:end])]
        if number:
            pieces.append(number.span())
            start = number.end()
    return pieces


@given(text | awkward)
def test_pieces_are_llama_cpps(tiny, string):
    pieces = tiny.backend_tokenizer.pre_tokenizer.pre_tokenize_str(string)
    assert [span for _, span in pieces] == llama_cpp_pieces(string)


def test_plain_gpt_2_splitting_would_be_noticed(tmp_path):
    """The rule under test is what keeps "12" from being one token, though the merge for it exists."""
    plain = tokenizer_from_gguf(open_gguf(write_tiny_gguf(tmp_path / "g.gguf", pre="gpt-2")), WINDOW)
    split = tokenizer_from_gguf(open_gguf(write_tiny_gguf(tmp_path / "s.gguf", pre="smollm")), WINDOW)
    assert plain.tokenize("   12") == ["ĠĠ", "Ġ", "12"]
    assert split.tokenize("   12") == ["ĠĠĠ", "1", "2"]


@given(text | awkward)
def test_decoding_gives_back_the_text(tiny, string):
    ids = tiny.encode(string, add_special_tokens=False)
    assert tiny.decode(ids) == string
    assert all(0 <= token < len(vocabulary()) for token in ids)


def test_special_tokens_are_whole_and_can_be_left_out(tiny):
    ids = tiny.encode("<|im_start|>the<|im_end|>")
    assert tiny.convert_ids_to_tokens(ids) == ["<|im_start|>", "the", "<|im_end|>"]
    assert tiny.decode(ids, skip_special_tokens=True) == "the"
    assert (tiny.bos_token_id, tiny.eos_token_id, tiny.pad_token_id, tiny.unk_token_id) == (1, 2, 2, 0)
    assert tiny.model_max_length == WINDOW


@pytest.mark.parametrize("add_bos", [False, True])
def test_saved_and_loaded_tokenizer_is_the_same(tmp_path, monkeypatch, add_bos):
    monkeypatch.setenv("SPECLIGHT_CACHE", str(tmp_path / "cache"))
    path = write_tiny_gguf(tmp_path / "tiny.gguf", add_bos=add_bos)
    built = tokenizer_from_gguf(open_gguf(path), WINDOW)
    loaded = load_tokenizer(converted_folder(path), trust_remote_code=False, local_files_only=True)
    sentence = "the 12\n\n  3<|im_end|>"
    assert loaded.encode(sentence) == built.encode(sentence)
    assert (built.encode(sentence)[0] == built.bos_token_id) is add_bos
    turn = [{"role": "user", "content": "the 12"}]
    assert loaded.apply_chat_template(turn, tokenize=False) == "<|im_start|>user\nthe 12<|im_end|>\n"
    assert loaded.decode(loaded.encode(" . , 's  n't", add_special_tokens=False)) == " . , 's  n't"


def test_folder_keeps_its_own_splitting_whatever_class_it_names(tmp_path, tiny):
    """The hub's SmolLM2 names GPT2Tokenizer, for which AutoTokenizer rebuilds GPT-2's splitting."""
    tiny.save_pretrained(tmp_path)
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"tokenizer_class": "GPT2Tokenizer"}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    loaded = load_tokenizer(tmp_path, trust_remote_code=False, local_files_only=True)
    assert loaded.tokenize("   12") == ["ĠĠĠ", "1", "2"]


@pytest.mark.parametrize("wrong", [{"pre": "llama-bpe"}, {"tokenizer": "llama"}])
def test_unknown_tokenizers_are_refused(tmp_path, wrong):
    path = write_tiny_gguf(tmp_path / "tiny.gguf", **wrong)
    with pytest.raises(InvalidInput, match="expected"):
        tokenizer_from_gguf(open_gguf(path), WINDOW)


def test_token_ids_outside_the_vocabulary_are_refused(tmp_path):
    path = write_tiny_gguf(tmp_path / "tiny.gguf", eos_token_id=len(vocabulary()))
    with pytest.raises(CorruptWeights, match="eos_token_id"):
        tokenizer_from_gguf(open_gguf(path), WINDOW)


@pytest.mark.model
@pytest.mark.slow
def test_default_target_is_read_from_its_gguf_as_it_was_converted(smollm):
    read = tokenizer_from_gguf(open_gguf(default_gguf()), 8192)
    assert json.loads(read.backend_tokenizer.to_str()) == json.loads(smollm.backend_tokenizer.to_str())
    assert read.chat_template == smollm.chat_template
    assert read.special_tokens_map == smollm.special_tokens_map


@pytest.mark.model
def test_default_target_ids_are_pinned(smollm):
    """Digits stand alone and the spaces before them stay together, as SmolLM2 was trained."""
    assert smollm.encode("\n\n1. x") == [1116, 33, 30, 1792]
    assert smollm.tokenize("\n\n1. x") == ["ĊĊ", "1", ".", "Ġx"]
    assert smollm.encode("    12") == [289, 33, 34]
    assert smollm.tokenize("    12") == ["ĠĠĠĠ", "1", "2"]


@pytest.mark.model
def test_default_target_chat_template(smollm):
    turn = [{"role": "user", "content": "Hello"}]
    assert smollm.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = smollm.apply_chat_template(turn, add_generation_prompt=True, return_dict=False)
    assert ids[:2] == [1, 9690]
    assert ids.count(smollm.eos_token_id) == 2


@pytest.mark.model
@given(text | awkward)
def test_default_target_decoding_gives_back_the_text(smollm, string):
    known = "".join(character for character in string if character not in LOST_CHARACTERS)
    assert smollm.decode(smollm.encode(known)) == known


@pytest.mark.model
def test_default_target_loses_exactly_six_control_characters(smollm):
    """SmolLM2's vocabulary lacks 21 of the 256 bytes; all but these six never occur in assigned text."""
    lost = [chr(code) for code in range(0x800) if smollm.decode(smollm.encode(chr(code))) != chr(code)]
    assert "".join(lost) == LOST_CHARACTERS
