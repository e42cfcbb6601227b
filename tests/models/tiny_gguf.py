"""A GGUF of a few kilobytes: a two-layer Llama in Q4_1 with SmolLM2's kind of tokenizer."""

import numpy as np
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
from gguf.quants import quantize
from tokenizers import pre_tokenizers

HIDDEN, INTERMEDIATE, LAYERS, HEADS, KEY_HEADS, WINDOW = 64, 96, 2, 4, 2, 128
HEAD_SIZE = HIDDEN // HEADS
SIZES = {
    "block_count": LAYERS,
    "context_length": WINDOW,
    "embedding_length": HIDDEN,
    "feed_forward_length": INTERMEDIATE,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KEY_HEADS,
}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ġ Ġ", "ĠĠ Ġ", "1 2", "t h", "th e"]
TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def vocabulary():
    """Three special tokens, the 256 bytes, one token per merge; padded to a multiple of 32."""
    tokens = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), *(m.replace(" ", "") for m in MERGES)]
    return tokens + [f"unused{index}" for index in range(-len(tokens) % 32)]


def stored_tensors(seed):
    """Name -> float32 values before quantisation, in llama.cpp's names and row order."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.3)

    tensors = {"token_embd.weight": normal(len(vocabulary()), HIDDEN), "output_norm.weight": normal(HIDDEN)}
    for layer in range(LAYERS):
        tensors |= {
            f"blk.{layer}.attn_norm.weight": normal(HIDDEN),
            f"blk.{layer}.attn_q.weight": normal(HIDDEN, HIDDEN),
            f"blk.{layer}.attn_k.weight": normal(KEY_HEADS * HEAD_SIZE, HIDDEN),
            f"blk.{layer}.attn_v.weight": normal(KEY_HEADS * HEAD_SIZE, HIDDEN),
            f"blk.{layer}.attn_output.weight": normal(HIDDEN, HIDDEN),
            f"blk.{layer}.ffn_norm.weight": normal(HIDDEN),
            f"blk.{layer}.ffn_gate.weight": normal(INTERMEDIATE, HIDDEN),
            f"blk.{layer}.ffn_up.weight": normal(INTERMEDIATE, HIDDEN),
            f"blk.{layer}.ffn_down.weight": normal(HIDDEN, INTERMEDIATE),
        }
    return tensors


def write_tiny_gguf(
    path,
    *,
    seed=0,
    architecture="llama",
    tokenizer="gpt2",
    pre="smollm",
    add_bos=False,
    eos_token_id=2,
    sizes=None,
    without=(),
    extra_tensors=None,
    quantised=True,
    metadata=None,
    tensors_per_shard=0,
):
    """Write the file and return its path; of a model in shards, the path of the first.

    sizes: replaces or adds `llama.*` integers. without, extra_tensors: names left out, values added.
    quantised: matrices in Q4_1, else in float32, with which engines compute as a reference does.
    metadata: further keys, whole, with their values.
    """
    writer = GGUFWriter(path, architecture, split_max_tensors=tensors_per_shard)
    for key, value in (SIZES | (sizes or {})).items():
        if f"llama.{key}" not in (metadata or {}):
            writer.add_uint32(f"llama.{key}", value)
    for key, value in (metadata or {}).items():
        writer.add_key_value(key, value, GGUFValueType.get_type(value))
    writer.add_float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    tokens = vocabulary()
    writer.add_tokenizer_model(tokenizer)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(eos_token_id)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(add_bos)
    writer.add_chat_template(TEMPLATE)
    for name, values in (stored_tensors(seed) | (extra_tensors or {})).items():
        if name in without:
            continue
        if values.ndim == 1 or not quantised:
            writer.add_tensor(name, values)
        else:
            blocks = quantize(values, GGMLQuantizationType.Q4_1)
            writer.add_tensor(name, blocks, raw_dtype=GGMLQuantizationType.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (
        path.with_name(f"{path.stem}-00001-of-{shards:05d}.gguf")
        if (shards := len(writer.tensors)) > 1
        else path
    )
