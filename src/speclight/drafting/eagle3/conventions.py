"""What an EAGLE head computes: its sizes, and the choices on which checkpoints silently differ."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Sizes of a head's decoder layers. target_hidden: width of one of the target's states."""

    hidden: int
    target_hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    draft_vocabulary: int
    decoder_layers: int = 1

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} of a head must be >= 1, got {getattr(self, name)}")
        if self.heads % self.kv_heads:
            raise InvalidInput(
                f"got {self.heads} attention heads over {self.kv_heads} key-value heads, expected a multiple"
            )
        if self.draft_vocabulary > self.vocabulary:
            raise InvalidInput(
                f"got a draft vocabulary of {self.draft_vocabulary} tokens within one of {self.vocabulary}"
            )


@dataclass(frozen=True, slots=True)
class Conventions:
    """Choices between which checkpoints differ.

    layers: numbers of the target's states that are fused, see ForwardPass. residual_after_norm: the decoder
    layer's residual is the normed input (norm_before_residual) instead of the input itself.
    norm_before_output: the last norm is applied before the output matrix. normed_recurrence: the state fed
    back is the normed one. has_input_norm: one norm over the fused input (norm_before_fc). has_layer_norms:
    one norm for each state before fusing (fc_norm). has_fusion: there is a matrix `fc`; without it the one
    state is taken as it is. has_fusion_bias: `fc` has a bias. has_head_norms: queries and keys are normed
    (Qwen3). has_query_biases, has_output_bias: of the attention. windows: of each decoder layer, the
    positions it sees (its own included), None for all; empty: all for all. joins_embedding: EAGLE-1 and 2,
    where `fc` takes in the token's embedding and the state, and nothing is normed.
    """

    layers: tuple[int, ...]
    residual_after_norm: bool = False
    norm_before_output: bool = True
    normed_recurrence: bool = False
    has_input_norm: bool = False
    has_layer_norms: bool = False
    has_fusion: bool = True
    has_fusion_bias: bool = False
    has_head_norms: bool = False
    has_query_biases: bool = False
    has_output_bias: bool = False
    windows: tuple[int | None, ...] = ()
    joins_embedding: bool = False

    def lines(self, target_layers: int) -> tuple[str, ...]:
        """The conventions in words, one line each, for people to check."""
        if self.joins_embedding:
            return (f"joins the token's embedding with {_states(self.layers, target_layers)}",)
        norms = "one for each layer" if self.has_layer_norms else "none"
        return (
            f"{'fuses' if self.has_fusion else 'reads'} {_states(self.layers, target_layers)}",
            f"residual: {'after' if self.residual_after_norm else 'before'} the hidden norm",
            f"output matrix sees the state {'after' if self.norm_before_output else 'before'} the last norm",
            f"state fed back: {'after' if self.normed_recurrence else 'before'} the last norm",
            f"norms before fusing: {'one for all' if self.has_input_norm else norms}",
            *(f"decoder layer {place}: sees {size} positions" for place, size in self._windowed()),
        )

    def window(self, decoder_layer: int) -> int | None:
        """Of one decoder layer, see the class."""
        return self.windows[decoder_layer] if self.windows else None

    def _windowed(self) -> list[tuple[int, int]]:
        return [(place, size) for place, size in enumerate(self.windows) if size is not None]


def _states(states: tuple[int, ...], target_layers: int) -> str:
    """The target's states in words."""
    entering = [str(state) for state in states if state < target_layers]
    words = [f"the states entering target layers {', '.join(entering)}"] if entering else []
    if target_layers in states:
        words.append("the state before the target's final norm")
    if target_layers + 1 in states:
        words.append("the state after the target's final norm")
    return " and ".join(words)


def default_layers(target_layers: int) -> tuple[int, int, int]:
    """The three layers of the EAGLE-3 authors: states entering layers 2, L//2 and L-3."""
    return (2, target_layers // 2, target_layers - 3)
