"""An endpoint's tokens scored again by a model on this machine."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from speclight.arrays import FloatArray
from speclight.engines.completion import EngineText
from speclight.engines.losslessness import CellLaw, full_law
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.progress import Progress, silent


def reference_laws(
    model: CausalLM,
    texts: Sequence[tuple[tuple[int, ...], EngineText]],
    sampling: SamplingSettings,
    progress: Progress = silent,
) -> list[CellLaw]:
    """The model's law at every token of the texts. texts: (prompt token ids, text) each.

    Raises InvalidInput where a prompt's or a text's token ids are not known, or lie outside the vocabulary.
    """
    laws: list[CellLaw] = []
    for number, (prompt, text) in enumerate(texts, start=1):
        ids = text.token_ids
        if not prompt or ids is None:
            raise InvalidInput(
                "a reference needs the token ids of prompt and text, expected them in the file; ask the "
                "engine "
                "for token ids (vLLM: return_token_ids)"
            )
        if max(*prompt, *ids) >= model.vocabulary_size:
            raise InvalidInput(
                f"token id {max(*prompt, *ids)} lies outside the reference's vocabulary of "
                f"{model.vocabulary_size}; give the model that the engine serves"
            )
        rows = _laws(model, [*prompt, *ids], len(prompt), sampling)
        laws += [full_law(row, token) for row, token in zip(rows, ids, strict=True)]
        progress(number, len(texts), f"scoring the texts again with {model.name}")
    return laws


def _laws(model: CausalLM, token_ids: list[int], first: int, sampling: SamplingSettings) -> FloatArray:
    """[tokens from `first` on, vocab] the law each was drawn from, in one plain pass."""
    model.check_text_fits(token_ids)
    with torch.inference_mode():
        ids = torch.tensor([token_ids], device=model.device)
        kept = len(token_ids) - first + 1
        logits = model.model(input_ids=ids, use_cache=False, logits_to_keep=kept).logits[0, :-1]
    return processed_probabilities(logits.float().cpu().numpy(), sampling)
