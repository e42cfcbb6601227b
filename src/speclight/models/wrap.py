"""A model already loaded with Transformers, as a target or drafter."""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from speclight.models.causal_lm import CausalLM
from speclight.models.kernels import Kernels
from speclight.models.probe import check_tree_scores
from speclight.models.weights import LoadedModel


def wrap(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    name: str | None = None,
    kernels: Kernels = "eager",
) -> CausalLM:
    """The model, ready for speclight: nothing is copied, and its mode is left as it is (use `model.eval()`).

    name: for reports; by default the model's class. kernels: "auto" or "fast" makes the model's own layers
    compute faster, see `speclight.models.kernels.use_kernels`; its parameters stay.
    Raises InvalidInput for a model that cannot score trees.
    """
    wrapped = CausalLM(
        LoadedModel(
            model=model,
            tokenizer=tokenizer,
            name=name or type(model).__name__,
            source="object",
            weights_sha256=None,
            revision=None,
        ),
        kernels,
    )
    check_tree_scores(wrapped)
    return wrapped
