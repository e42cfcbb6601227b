"""Whether training as set can be begun with a target: known before anything is sampled, which takes hours."""

from __future__ import annotations

from speclight.drafting.eagle3.target_matrices import output_matrix
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.training.small_model_trainer import kept_layers
from speclight.training.training_settings import TrainingSettings


def check_fit(settings: TrainingSettings, target: CausalLM, kind: str) -> None:
    """Raise InvalidInput for a draft vocabulary above the target's, or layers that a small model cannot keep.

    kind: that of the drafter, "small-lm" for the small model.
    """
    size, largest = settings.draft_vocabulary, len(output_matrix(target))
    if size > largest:
        raise InvalidInput(
            f"the draft vocabulary must have 1 to {largest} tokens, got {size}", argument="draft_vocabulary"
        )
    if kind == "small-lm":
        kept_layers(target.layers, settings.small_layers)
