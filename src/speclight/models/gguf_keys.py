"""Every metadata key of a Llama's GGUF: read, known to say nothing about its laws, or refused by name.

The keys are those of llama.cpp (gguf-py, `gguf.constants.Keys`). Passing over one that changes the model
would give wrong laws without a sound, so what is not listed here is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from speclight.errors import InvalidInput
from speclight.models.gguf_file import GgufFile

READ = frozenset(
    {
        "general.architecture",
        "llama.attention.head_count",
        "llama.attention.head_count_kv",
        "llama.attention.key_length",
        "llama.attention.layer_norm_rms_epsilon",
        "llama.attention.value_length",
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.rope.dimension_count",
        "llama.rope.freq_base",
        "llama.rope.scale_linear",
        "llama.rope.scaling.factor",
        "llama.rope.scaling.type",
        "llama.vocab_size",
        "split.count",
        "split.no",
        "split.tensors.count",
        "tokenizer.chat_template",
        "tokenizer.ggml.add_bos_token",
        "tokenizer.ggml.bos_token_id",
        "tokenizer.ggml.eom_token_id",
        "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.merges",
        "tokenizer.ggml.model",
        "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.pre",
        "tokenizer.ggml.token_type",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.unknown_token_id",
    }
)
# Say nothing about the law of a text: names for tokens of tasks that are not decoded here, further chat
# templates, the tokenizer once more in another form, scores that byte-level BPE has no use for.
IRRELEVANT = frozenset(
    {
        "llama.rope.scaling.finetuned",
        "llama.rope.scaling.original_context_length",  # read with "yarn" alone, which is refused
        "tokenizer.chat_templates",
        "tokenizer.ggml.cls_token_id",
        "tokenizer.ggml.fim_mid_token_id",
        "tokenizer.ggml.fim_pad_token_id",
        "tokenizer.ggml.fim_pre_token_id",
        "tokenizer.ggml.fim_rep_token_id",
        "tokenizer.ggml.fim_sep_token_id",
        "tokenizer.ggml.fim_suf_token_id",
        "tokenizer.ggml.mask_token_id",
        "tokenizer.ggml.middle_token_id",
        "tokenizer.ggml.prefix_token_id",
        "tokenizer.ggml.scores",
        "tokenizer.ggml.seperator_token_id",
        "tokenizer.ggml.suffix_token_id",
        "tokenizer.ggml.token_type_count",
        "tokenizer.huggingface.json",
    }
)
# Of these, only the value of a plain model is taken.
PLAIN_VALUES: Mapping[str, Any] = {
    "general.type": "model",
    "llama.attention.causal": True,
    "llama.attention.clamp_kqv": 0.0,
    "llama.attention.max_alibi_bias": 0.0,
    "llama.attention.scale": 0.0,  # llama.cpp: one over the root of the head's length
    "llama.attention.sliding_window": 0,
    "llama.attn_logit_softcapping": 0.0,
    "llama.embedding_scale": 1.0,
    "llama.expert_count": 0,
    "llama.expert_group_count": 0,
    "llama.expert_group_used_count": 0,
    "llama.expert_shared_count": 0,
    "llama.expert_used_count": 0,
    "llama.final_logit_softcapping": 0.0,
    "llama.leading_dense_block_count": 0,
    "llama.logit_scale": 1.0,
    "llama.nextn_predict_layers": 0,
    "llama.pooling_type": 0,
    "llama.residual_scale": 1.0,
    "llama.rope.scaling.attn_factor": 1.0,
    "llama.tensor_data_layout": "Meta AI original pth",  # the order of rows that every Llama of llama.cpp has
    "llama.use_parallel_residual": False,
    "tokenizer.ggml.add_eos_token": False,
    "tokenizer.ggml.add_sep_token": False,
    "tokenizer.ggml.add_space_prefix": False,
    "tokenizer.ggml.remove_extra_whitespaces": False,
}
# Where a key can change what a file means. Others ("quantize.imatrix.file", "mradermacher.quantized_by") are
# notes of whoever made the file; "general." holds names, licences and default sampling settings.
NAMESPACES = ("llama", "tokenizer", "split", "adapter", "clip", "diffusion", "imatrix", "xielu")


def check_keys(file: GgufFile) -> None:
    """Raise InvalidInput, with its name and value, for a key that this reader cannot honour."""
    for key in file.keys:
        if key in READ or key in IRRELEVANT or key.startswith("tokenizer.chat_template."):
            continue
        if key in PLAIN_VALUES:
            if file.contents(key) != PLAIN_VALUES[key]:
                raise _refusal(file, key, f"{PLAIN_VALUES[key]!r}, as in a plain Llama")
        elif key.split(".")[0] in NAMESPACES:
            raise _refusal(file, key, "only the keys of a plain Llama")


def _refusal(file: GgufFile, key: str, expected: str) -> InvalidInput:
    value = repr(file.contents(key))
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    return InvalidInput(
        f"{file.path.name} sets {key} to {shown}, expected {expected}; "
        "give the model's original folder (safetensors) instead"
    )
