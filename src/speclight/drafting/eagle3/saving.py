"""Writing a head as a checkpoint that SpecForge, SGLang and this project read."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save

from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.head_files import CONFIG_NAME, WEIGHT_NAMES
from speclight.writing import write_whole


def save_head(
    folder: Path,
    network: Eagle3Network,
    tensors: dict[str, torch.Tensor],
    target_ids: torch.Tensor,
    chat_template: str | None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write config.json and model.safetensors in the SpecForge dialect, the embedding left to the target.

    tensors: by the network's names, without the embedding. target_ids: [draft vocabulary]. The layers and the
    chat template that the head was trained with are recorded.
    """
    sizes, conventions, layer = network.sizes, network.conventions, network.config
    config = {
        "architectures": ["LlamaForCausalLMEagle3"],
        "model_type": "llama",
        "hidden_size": sizes.hidden,
        "target_hidden_size": sizes.target_hidden,
        "intermediate_size": sizes.intermediate,
        "num_hidden_layers": 1,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "head_dim": sizes.head_size,
        "hidden_act": layer.hidden_act,
        "rms_norm_eps": layer.rms_norm_eps,
        "rope_parameters": layer.rope_parameters,
        "max_position_embeddings": layer.max_position_embeddings,
        "attention_bias": layer.attention_bias,
        "vocab_size": sizes.vocabulary,
        "draft_vocab_size": sizes.draft_vocabulary,
        "eagle_aux_hidden_state_layer_ids": list(conventions.layers),
        "eagle_config": {
            "eagle_aux_hidden_state_layer_ids": [layer_id - 1 for layer_id in conventions.layers],
            "use_aux_hidden_state": True,
        },
        "chat_template": chat_template,
    }
    members = torch.zeros(sizes.vocabulary, dtype=torch.bool)
    members[target_ids] = True
    stored = {name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}
    stored["d2t"] = target_ids - torch.arange(len(target_ids))
    stored["t2d"] = members
    write_whole(folder / WEIGHT_NAMES[0], save(stored, metadata={"format": "pt"}))
    write_whole(folder / CONFIG_NAME, (json.dumps(config, indent=2) + "\n").encode())
