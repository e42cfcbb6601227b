"""Which arguments of Transformers' `generate` speculative decoding serves; any other is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import FrameType

import torch
from transformers import GenerationConfig

from speclight.errors import InvalidInput

# Outputs that exist once per forward pass there, and would mean something else here.
OUTPUTS_NOT_GIVEN = ("output_scores", "output_logits", "output_attentions", "output_hidden_states")
# Fields of the configuration that ask for another way of decoding, with what to do instead.
OTHER_DECODING = {
    "penalty_alpha": "contrastive search is another law; leave it out",
    "dola_layers": "DoLa is another law; leave it out",
    "prompt_lookup_num_tokens": "prompt lookup is drafter='ngram'; leave it out",
    "assistant_early_exit": "early exit is drafter='layer_skip'; leave it out",
    "use_mtp": "leave it out",
}
# Arguments of `generate` that it silently withholds from a custom decoding function.
KEPT_BACK = {
    "assistant_model": "write drafter=speclight.Model(weights)",
    "streamer": "use on_call, or speclight.stream",
}
# Arguments of the model that `generate` prepares, or that change no law. Any cache is for the same text.
PREPARED = frozenset(
    {
        "attention_mask",
        "cache_position",
        "logits_to_keep",
        "output_attentions",
        "output_hidden_states",
        "past_key_values",
        "position_ids",
        "return_dict",
        "use_cache",
    }
)


def check_served(
    config: GenerationConfig,
    input_ids: torch.Tensor,
    model_arguments: Mapping[str, object],
    frame: FrameType | None,
) -> None:
    """Raise InvalidInput for an argument that would be ignored.

    model_arguments: what `generate` would hand to the model. frame: of the decoding function; what `generate`
    does not hand on is looked up in its caller's.
    """
    if (config.num_beams or 1) > 1:
        raise InvalidInput(
            f"got num_beams {config.num_beams}, expected 1: beams are not speculative decoding; leave it out"
        )
    asked = [name for name in OUTPUTS_NOT_GIVEN if getattr(config, name, None)]
    if asked:
        raise InvalidInput(
            f"got {', '.join(asked)}, expected none of them; use on_call for traces of the calls"
        )
    caller = {} if frame is None or frame.f_back is None else frame.f_back.f_locals
    given = [(name, getattr(config, name, None), remedy) for name, remedy in OTHER_DECODING.items()]
    given += [(name, caller.get(name), remedy) for name, remedy in KEPT_BACK.items()]
    for name, value, remedy in given:
        if value is not None and value is not False:
            raise InvalidInput(
                f"got {name}, which speculative decoding does not serve, expected none; {remedy}"
            )
    for name, value in model_arguments.items():
        if name not in PREPARED and value is not None:
            raise InvalidInput(
                f"got {name}, an argument of the model that speculative decoding does not hand on, expected "
                "none; leave it out, or decode plainly with Transformers"
            )
    if input_ids.shape[1] == 0:
        raise InvalidInput(
            "got no input_ids, expected a prompt of at least one token; give token ids, not inputs_embeds"
        )
