"""A GGUF turned once into a folder that Transformers loads: safetensors, config, tokenizer, manifest."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from speclight.arrays import Float32Array
from speclight.errors import CorruptWeights, InvalidInput, StorageError
from speclight.models.cache_folder import (
    PARTIAL_PREFIX,
    WEIGHTS_NAME,
    conversion_folder,
    write_manifest,
)
from speclight.models.default_target import DEFAULT_NAME, GGUF_SHA256
from speclight.models.gguf_config import generation_config, llama_config
from speclight.models.gguf_file import GgufFile, dequantised, open_gguf
from speclight.models.gguf_shards import gguf_sha256
from speclight.models.tokenizer import tokenizer_from_gguf
from speclight.writing import could_not_write

# Config, tokenizer.json (3.5 MB for 49k tokens) and file-system overhead, beside the weights.
SPACE_BESIDE_WEIGHTS_BYTES = 64 * 2**20

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def converted_folder(gguf: Path, *, expected_sha256: str | None = None) -> Path:
    """The cache folder with this GGUF's conversion, converting first if it is not there yet.

    gguf: a llama-architecture model with a byte-level BPE tokenizer; of a model in shards, any of them.
    expected_sha256: pinned hash, checked before anything is converted. In reports the model is called by the
    file's stem and its quantisation, the default target by its own name wherever the file lies.

    The folder is named by the GGUF's SHA-256, for shards by that of their hashes. It appears by one rename,
    complete or not at all; of two processes converting the same file at once, the second throws its copy
    away. Raises ModelNotFound, CorruptWeights, InvalidInput (unsupported kind of model), StorageError (no
    space).
    """
    if expected_sha256 is not None and conversion_folder(expected_sha256).is_dir():
        return conversion_folder(expected_sha256)
    sha256 = gguf_sha256(gguf)
    if expected_sha256 is not None and sha256 != expected_sha256:
        raise CorruptWeights(
            f"got SHA-256 {sha256} for {gguf.name}, expected {expected_sha256}; install its package again"
        )
    folder = conversion_folder(sha256)
    if not folder.is_dir():
        file = open_gguf(gguf)
        is_default = sha256 == GGUF_SHA256
        name = DEFAULT_NAME if is_default else f"{file.stem}, dequantised from {file.quantisation}"
        try:
            _convert(file, folder, name, sha256)
        except (OSError, SafetensorError) as error:
            raise could_not_write(
                f"the converted model to {folder.parent}", error, "set SPECLIGHT_CACHE to another folder"
            ) from error
    return folder


def unpermuted_rotary(weight: Float32Array, heads: int) -> Float32Array:
    """Undo llama.cpp's row order of query and key projections.

    weight: [heads * head_dim, hidden] with the two halves of each rotary pair in neighbouring rows;
    returns the same rows with all first halves of a head before all second halves, as Transformers' rotary
    embedding expects. heads: query heads, or key-value heads for the key projection.
    """
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, columns)


def _convert(file: GgufFile, folder: Path, model_name: str, source_sha256: str) -> None:
    config = llama_config(file)
    _check_complete(file, config)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _check_free_space(file, folder.parent)
    # A sibling, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(
        prefix=PARTIAL_PREFIX, dir=folder.parent, ignore_cleanup_errors=True
    ) as scratch:
        partial = Path(scratch) / folder.name
        partial.mkdir()
        tokenizer_from_gguf(file, config.max_position_embeddings).save_pretrained(partial)
        generation_config(file, config).save_pretrained(partial)
        config.save_pretrained(partial)
        save_file(_weights(file, config), partial / WEIGHTS_NAME, metadata={"format": "pt"})
        write_manifest(partial, model_name, source_sha256)
        for path in (*partial.iterdir(), partial):
            _flush_to_disk(path)
        try:
            partial.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another process finished first with the same bytes; ours goes with the scratch folder.
    _flush_to_disk(folder.parent)


def _weights(file: GgufFile, config: LlamaConfig) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = {}
    query_heads = config.num_attention_heads
    key_heads = config.num_key_value_heads or query_heads
    for tensor in file.tensors:
        name = _parameter_name(file, tensor.name)
        values = dequantised(file, tensor)
        if name.endswith("q_proj.weight"):
            values = unpermuted_rotary(values, query_heads)
        elif name.endswith("k_proj.weight"):
            values = unpermuted_rotary(values, key_heads)
        # A tensor stored as float32 comes as a read-only view of the file, which torch cannot take.
        weights[name] = torch.from_numpy(values if values.flags.writeable else values.copy())
    return weights


def _parameter_name(file: GgufFile, name: str) -> str:
    if name in OUTER_NAMES:
        return OUTER_NAMES[name]
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if layer is None or layer[2] not in LAYER_NAMES:
        raise InvalidInput(
            f"{file.path.name} holds a tensor {name!r}, expected only those of a plain Llama; "
            "give the model's original folder (safetensors) instead"
        )
    return f"model.layers.{layer[1]}.{LAYER_NAMES[layer[2]]}.weight"


def _check_complete(file: GgufFile, config: LlamaConfig) -> None:
    with torch.device("meta"):
        expected = {name: tuple(p.shape) for name, p in LlamaForCausalLM(config).state_dict().items()}
    if config.tie_word_embeddings:
        del expected["lm_head.weight"]
    got = {_parameter_name(file, t.name): tuple(int(n) for n in reversed(t.shape)) for t in file.tensors}
    differing = sorted(name for name in got.keys() | expected.keys() if got.get(name) != expected.get(name))
    if differing:
        first = differing[0]
        raise CorruptWeights(
            f"{file.path.name}: {len(differing)} tensors do not fit its own metadata, first {first}: "
            f"got {got.get(first)}, expected {expected.get(first)}; get the file anew"
        )


def _check_free_space(file: GgufFile, parent: Path) -> None:
    weight_bytes = sum(int(tensor.n_elements) for tensor in file.tensors) * np.dtype(np.float32).itemsize
    needed = weight_bytes + SPACE_BESIDE_WEIGHTS_BYTES
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise StorageError(
            f"{parent} has {free / 2**20:.0f} MiB free, the converted model needs {needed / 2**20:.0f} MiB; "
            "free some space or set SPECLIGHT_CACHE to a folder on another disk"
        )


def _flush_to_disk(path: Path) -> None:
    # Without it a power cut after the rename could leave a folder with the right name and empty files.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
