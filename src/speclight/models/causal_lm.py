"""A causal language model behind the few operations that speculative decoding needs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from torch import nn
from transformers import Cache

from speclight.errors import BrokenModelOutput, ContextOverflow, InvalidInput
from speclight.models.attention_layout import attention_layout
from speclight.models.attention_masks import attention_mask_for
from speclight.models.grouped_attention import growing_attention, use_grouped_attention
from speclight.models.joint_cache import JointCache
from speclight.models.kernels import Kernels, KernelsInUse, use_kernels
from speclight.models.kv_cache import PathCache
from speclight.models.layer_stack import EnteringStates, last_layer_outputs, layer_stack
from speclight.models.packed_weights import PackedParameter
from speclight.models.rotary import steady_window
from speclight.models.static_passes import PassInputs, PassOutputs, StaticPasses
from speclight.models.visibility import causal
from speclight.models.weights import LoadedModel

# Long prompts are read in pieces, so that the mask stays small ([piece, text] floats).
PREFILL_PIECE = 512


@dataclass(frozen=True, slots=True, eq=False)
class ForwardPass:
    """What one forward pass gives.

    logits: [batch, rows, vocab] float32 (float64 if the model is), unprocessed.
    features: [batch, new, layers asked for * hidden size] the states entering those layers, side by side in
    the order asked for; None if no layer was asked for. State i enters layer i, state L (the number of
    layers) the final norm, and state L + 1 the output matrix. Transformers counts alike up to L - 1; its
    last `hidden_states` are state L + 1.
    """

    logits: torch.Tensor
    features: torch.Tensor | None


class CausalLM:
    """Forward passes with explicit positions and visibility over an explicit cache.

    context_window: tokens of the longest text, see `steady_window`; window_name: how messages call it.
    kernels: how a pass is computed, see `use_kernels`; as an attribute, what is in use.
    Raises InvalidInput for a model that cannot score a tree in one call, see `attention_layout`.
    """

    def __init__(self, loaded: LoadedModel, kernels: Kernels = "eager") -> None:
        self.attention = attention_layout(loaded.model)
        self.loaded = loaded
        self.model = loaded.model
        use_grouped_attention(self.model)
        self.kernels: KernelsInUse = use_kernels(self.model, kernels)
        # Whether products round what they read to 16 bits, see `packed_dots`.
        self.rounds_rows = self.kernels == "compiled" and any(
            isinstance(weight, PackedParameter) for weight in loaded.model.parameters()
        )
        self.tokenizer = loaded.tokenizer
        self.name = loaded.name
        self.device = loaded.model.device
        config = loaded.model.config.get_text_config()
        self.vocabulary_size: int = config.vocab_size
        self.context_window = steady_window(config)
        is_whole = self.context_window == config.max_position_embeddings
        self.window_name = f"the context window of {self.context_window} tokens of {self.name}" + (
            "" if is_whole else " (longer texts change the rotary factors of the tokens before)"
        )
        self.layers: int = config.num_hidden_layers
        self.static_passes = StaticPasses(self.computed, self.layers) if self.kernels == "graphs" else None
        self._takes_text_bounds = any(
            argument.kind is inspect.Parameter.VAR_KEYWORD
            for argument in inspect.signature(self.model.forward).parameters.values()
        )
        self.end_of_text = _end_of_text_ids(loaded)

    def new_cache(self) -> PathCache:
        """An empty cache; its batch size is set by the first pass."""
        return PathCache(self.layers)

    @cached_property
    def _stack(self) -> nn.ModuleList:
        """The decoder layers. Raises InvalidInput where they cannot be told, see `layer_stack`."""
        return layer_stack(self.model, self.layers)

    @cached_property
    def _entering(self) -> EnteringStates:
        return EnteringStates(self._stack)

    @property
    def output_state(self) -> int:
        """Number of the state that the output matrix reads, see ForwardPass."""
        return self.layers + 1

    @property
    def end_of_text(self) -> frozenset[int]:
        """Tokens that end a text. Ids outside the vocabulary, which some configs name, are left out."""
        return self._end_of_text

    @end_of_text.setter
    def end_of_text(self, token_ids: frozenset[int]) -> None:
        self._end_of_text = frozenset(i for i in token_ids if 0 <= i < self.vocabulary_size)

    @torch.inference_mode()
    def forward(
        self,
        cache: PathCache | JointCache,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        visible: torch.Tensor,
        logit_rows: torch.Tensor | int = 0,
        hidden_layers: tuple[int, ...] = (),
    ) -> ForwardPass:
        """One pass over new tokens, appended to the cache in the order given; of a JointCache, text by text.

        tokens: [batch, new] ids. positions: [batch, new] position of each in its own text.
        visible: [batch, new, filled + new] bool: which slots each new token attends to (itself included).
        logit_rows: which of the new tokens get logits: 0 for all of them, n for the last n, or their
        indices [rows]. Raises ContextOverflow for a position outside the window and BrokenModelOutput where
        the states behind the logits hold a NaN.
        """
        if int(positions.max()) >= self.context_window:
            raise ContextOverflow(
                f"position {int(positions.max())} does not fit {self.window_name}; "
                "shorten the prompt or ask for fewer tokens"
            )
        there = positions.to(self.device)
        slot_positions = cache.positions_with(there)
        output = None
        if self.static_passes is not None and isinstance(logit_rows, int):
            given = PassInputs(tokens, positions, visible, slot_positions)
            output = self.static_passes.run(cache, given, hidden_layers)
            if output is not None:
                output = PassOutputs(output.logits[:, -logit_rows:], output.features)
        if output is None:
            inputs = PassInputs(tokens.to(self.device), there, visible.to(self.device), slot_positions)
            output = self.computed(cache, inputs, hidden_layers, logit_rows)
        cache.record_positions(slot_positions)
        logits = output.logits.to(torch.promote_types(output.logits.dtype, torch.float32))
        self._check_numbers(logits)
        return ForwardPass(logits, output.features)

    def computed(
        self,
        cache: Cache,
        inputs: PassInputs,
        hidden_layers: tuple[int, ...],
        logit_rows: torch.Tensor | int = 0,
    ) -> PassOutputs:
        """The pass itself, on the device. See `forward`."""
        entered = [layer for layer in dict.fromkeys(hidden_layers) if layer < self.layers]
        unnormed, normed = self.layers in hidden_layers, self.output_state in hidden_layers
        with (
            growing_attention(self.device),
            self._entering.of(entered) if entered else nullcontext({}) as states,
            last_layer_outputs(self._stack) if unnormed else nullcontext([]) as last_outputs,
        ):
            output = self.model(
                input_ids=inputs.tokens,
                attention_mask=attention_mask_for(
                    self.attention, inputs.visible, inputs.positions, inputs.slot_positions, self.model.dtype
                ),
                position_ids=inputs.positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=logit_rows,
                output_hidden_states=normed,
                **self._text_bounds(cache),
            )
        if not hidden_layers:
            return PassOutputs(output.logits, None)
        if unnormed:
            states[self.layers] = last_outputs[-1]
        if normed:
            states[self.output_state] = output.hidden_states[-1]
        return PassOutputs(output.logits, torch.cat([states[layer] for layer in hidden_layers], dim=-1))

    def _check_numbers(self, logits: torch.Tensor) -> None:
        # A NaN in a state is in all of its logits; one of a single token is met where a law is made of them.
        if np.isnan(logits.numpy()[..., 0] if logits.is_cpu else logits[..., 0].cpu().numpy()).any():
            raise BrokenModelOutput(
                f"{self.name} returned NaN logits, expected finite numbers; check the weights, or use dtype "
                "float32 if the model overflows in a smaller type",
                argument="dtype",
            )

    def _text_bounds(self, cache: Cache) -> dict[str, torch.Tensor]:
        """The bounds of several texts, in Transformers' names for them, on their way to the attention.

        They spare it looking for one text's tokens among another's slots. `visible` says all there is to say
        about who sees whom, so a model or an attention that takes no notice of them gives the same.
        """
        if not isinstance(cache, JointCache) or not self._takes_text_bounds:
            return {}
        bounds = cache.text_bounds()
        return {"cu_seq_lens_q": bounds.new, "cu_seq_lens_k": bounds.slots}

    def read(
        self,
        cache: PathCache,
        token_ids: list[int],
        logit_rows: torch.Tensor | int = 0,
        hidden_layers: tuple[int, ...] = (),
    ) -> ForwardPass:
        """One pass over the tokens that come next in a cache's text, which are committed. See `forward`."""
        filled, end = cache.committed, cache.committed + len(token_ids)
        output = self.forward(
            cache,
            torch.tensor([token_ids]),
            torch.arange(filled, end)[None],
            causal(len(token_ids), filled)[None],
            logit_rows,
            hidden_layers,
        )
        cache.keep(list(range(filled, end)))
        return output

    def prefill(
        self, cache: PathCache, token_ids: list[int], hidden_layers: tuple[int, ...] = ()
    ) -> torch.Tensor | None:
        """Read a text into the cache and commit it; logits only at the last position of each piece.

        Returns the features of all its positions, [tokens, layers asked for * hidden size], if any layer was
        asked for.
        """
        features: list[torch.Tensor] = []
        for start in range(0, len(token_ids), PREFILL_PIECE):
            output = self.read(cache, token_ids[start : start + PREFILL_PIECE], 1, hidden_layers)
            if output.features is not None:
                features.append(output.features[0])
        return torch.cat(features) if features else None

    def text_of(self, token_ids: Sequence[int]) -> str:
        """The text of some tokens, special tokens left out."""
        text = self.tokenizer.decode(list(token_ids), skip_special_tokens=True)
        assert isinstance(text, str)  # a list of ids gives one string
        return text

    def check_text_fits(self, token_ids: list[int], prompt_name: str = "the prompt") -> None:
        """Raise InvalidInput for an empty text or unknown ids, ContextOverflow for more than the window."""
        if not token_ids:
            raise InvalidInput(f"{prompt_name} has no tokens, expected at least one; give a non-empty text")
        if len(token_ids) >= self.context_window:
            raise ContextOverflow(
                f"{prompt_name} has {len(token_ids)} tokens, which leaves no room in "
                f"{self.window_name}; shorten it"
            )
        if min(token_ids) < 0 or max(token_ids) >= self.vocabulary_size:
            unknown = next(token for token in token_ids if not 0 <= token < self.vocabulary_size)
            raise InvalidInput(
                f"{prompt_name} holds the token id {unknown}, expected 0 to {self.vocabulary_size - 1}, the "
                f"rows of {self.name}'s embedding; leave that token out, or use the model's own tokenizer"
            )


def _end_of_text_ids(loaded: LoadedModel) -> frozenset[int]:
    generation = getattr(loaded.model, "generation_config", None)
    ids = generation.eos_token_id if generation is not None else None
    if ids is None:
        ids = loaded.model.config.get_text_config().eos_token_id
    if ids is None:
        return frozenset()
    listed: Sequence[object] = ids if isinstance(ids, list | tuple) else [ids]
    if not all(type(token) is int for token in listed):
        raise InvalidInput(
            f"got eos_token_id = {ids!r} in the config of {loaded.name}, expected the id of a token or a "
            "list of ids; correct it"
        )
    return frozenset(cast(Sequence[int], listed))
