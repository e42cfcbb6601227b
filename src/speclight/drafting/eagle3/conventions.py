"""What an EAGLE-3 head computes: its sizes, and the choices on which checkpoints silently differ."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Sizes of a head's one decoder layer. target_hidden: width of one target layer's states."""

    hidden: int
    target_hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    draft_vocabulary: int

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
    """Choices that a checkpoint's tensors do not show.

    layers: of the target whose entering states are fused (index as Transformers counts `hidden_states`).
    residual_after_norm: the decoder layer's residual is the normed input (speculators: norm_before_residual)
    instead of the input itself. norm_before_output: the last norm is applied before the output matrix.
    normed_recurrence: the state fed back is the normed one. has_input_norm: one norm over the fused input
    (speculators: norm_before_fc). has_layer_norms: one norm for each target layer before fusing (fc_norm).
    has_fusion_bias: `fc` has a bias.
    """

    layers: tuple[int, ...]
    residual_after_norm: bool = False
    norm_before_output: bool = True
    normed_recurrence: bool = False
    has_input_norm: bool = False
    has_layer_norms: bool = False
    has_fusion_bias: bool = False

    def lines(self) -> tuple[str, ...]:
        """The conventions in words, one line each, for people to check."""
        return (
            f"fuses the states entering target layers {', '.join(map(str, self.layers))}",
            f"residual: {'after' if self.residual_after_norm else 'before'} the hidden norm",
            f"output matrix sees the state {'after' if self.norm_before_output else 'before'} the last norm",
            f"state fed back: {'after' if self.normed_recurrence else 'before'} the last norm",
            "norms before fusing: "
            + (
                "one for each layer"
                if self.has_layer_norms
                else "one for all"
                if self.has_input_norm
                else "none"
            ),
        )


def default_layers(target_layers: int) -> tuple[int, int, int]:
    """The three layers of the EAGLE-3 authors: states entering layers 2, L//2 and L-3."""
    return (2, target_layers // 2, target_layers - 3)
