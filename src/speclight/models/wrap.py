"""A model already loaded with Transformers, as a target or drafter."""

from __future__ import annotations

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from speclight.checks import kind_of
from speclight.errors import InvalidInput
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

    name: for reports; by default the model's class. kernels: all but "eager" make the model's own layers
    compute faster, see `speclight.models.kernels.use_kernels`; its parameters stay.
    Raises InvalidInput for a model that cannot score trees, and for anything but a model and its tokenizer.
    """
    if not isinstance(model, PreTrainedModel):
        raise InvalidInput(
            f"got {kind_of(model)} as model, expected a loaded model of Transformers; load it first, or use "
            "speclight.load, whose models need no wrapping"
        )
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise InvalidInput(
            f"got {kind_of(tokenizer)} as tokenizer, expected the model's own; load it with "
            "AutoTokenizer.from_pretrained"
        )
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
