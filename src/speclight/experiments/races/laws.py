"""Whose law is compared: every drafter of this package that has one to sample from, by name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from speclight.arrays import FloatArray
from speclight.drafting.along_text import AlongText
from speclight.drafting.count_law import CountLaw
from speclight.drafting.drafter_choices import DrafterChoice, Eagle3, LayerSkip, Model
from speclight.drafting.drafters import law_source
from speclight.drafting.eagle3.shipped import shipped_head_folder
from speclight.drafting.layer_skip import layers_by_default
from speclight.drafting.protocol import LawSource
from speclight.errors import InvalidInput
from speclight.experiments.races.texts import RaceText
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.models.weights import load_weights
from speclight.trees.growing_tree import CandidateLaw

RACE_DRAFTERS = ("layer_skip", "ngram", "model", "eagle3")


@dataclass(frozen=True, slots=True, eq=False)
class RaceDrafter:
    """A drafter's law, as decoding uses it.

    source: a fresh law source for the target's sampling. identity: name, layers, hash of the weights: what
    records made with it are valid for. is_function_of_text: whether its law after a text is the same whoever
    wrote the text. A head's is not: below the root of a draft it is fed its own states in place of the
    target's features.
    """

    name: str
    identity: tuple[str, ...]
    is_function_of_text: bool
    source: Callable[[SamplingSettings], LawSource]


@dataclass(frozen=True, slots=True, eq=False)
class LawsAtToken:
    """Target and drafter law [vocab] at one context, and the token that was emitted there."""

    target: FloatArray
    drafter: FloatArray
    token: int


def race_drafter(
    name: str,
    target: CausalLM,
    *,
    weights: str | Path | CausalLM | None = None,
    layers: int | None = None,
) -> RaceDrafter:
    """A drafter by its name, one of RACE_DRAFTERS.

    weights: of `model`, or the model; of `eagle3` the folder of a head, the shipped one if None. layers: of
    `layer_skip`. Raises InvalidInput for another name, or `model` without weights.
    """
    if name == "ngram":
        return RaceDrafter(name, (name,), True, lambda sampling: CountLaw(target.vocabulary_size))
    if name == "layer_skip":
        first = layers_by_default(target) if layers is None else layers
        return _drafting(target, LayerSkip(first), str(first))
    if name == "model":
        if weights is None:
            raise InvalidInput("a drafter model needs weights, got none; give their folder")
        identity = weights.name if isinstance(weights, CausalLM) else _hash_of(Path(weights))
        dtype = str(target.model.dtype).removeprefix("torch.")
        model = (
            weights
            if isinstance(weights, CausalLM)
            else CausalLM(load_weights(str(weights), device=str(target.device), dtype=dtype), target.kernels)
        )
        return _drafting(target, Model(model), identity)
    if name == "eagle3":
        if isinstance(weights, CausalLM):
            raise InvalidInput("a head is no model of its own, got one as weights; give the folder of a head")
        folder = shipped_head_folder() if weights is None else Path(weights)
        choice = Eagle3(None if weights is None else str(weights))
        return _drafting(target, choice, _hash_of(folder), is_function_of_text=False)
    raise InvalidInput(f"no law to race with is called {name!r}, expected one of {', '.join(RACE_DRAFTERS)}")


def laws_along(target: CausalLM, drafter: RaceDrafter, text: RaceText) -> Iterator[LawsAtToken]:
    """Both laws at every token of a text, in its order: the drafter's as at the root of a draft."""
    sampling = SamplingSettings(text.temperature)
    source = drafter.source(sampling)
    tokens, first = [*text.prompt_token_ids, *text.token_ids], len(text.prompt_token_ids)
    output = target.read(target.new_cache(), tokens[:-1], len(text.token_ids), source.hidden_layers)
    features = None if output.features is None else output.features[0]
    logits = output.logits[0].float().cpu().numpy()
    along = AlongText(source, tokens)
    if drafter.is_function_of_text:
        along.stop(first, features)
        laws = along.laws_ahead()
    else:
        laws = _laws_at_roots(along, range(first, len(tokens)), features)
    for logits_after, law, token in zip(logits, laws, text.token_ids, strict=True):
        yield LawsAtToken(
            processed_probabilities(logits_after[None], sampling)[0],
            dense_law(law, target.vocabulary_size),
            token,
        )


def _laws_at_roots(
    along: AlongText, stops: Iterable[int], features: torch.Tensor | None
) -> Iterator[CandidateLaw]:
    for committed in stops:
        along.stop(committed, features)
        yield along.law()


def dense_law(law: CandidateLaw, vocabulary_size: int) -> FloatArray:
    """[vocab] of a law over some of the tokens; the others cannot be drafted."""
    dense = np.zeros(vocabulary_size)
    dense[law.tokens] = np.exp(law.log_probs)
    return dense / dense.sum()


def _drafting(
    target: CausalLM, choice: DrafterChoice, identity: str, *, is_function_of_text: bool = True
) -> RaceDrafter:
    return RaceDrafter(
        choice.name,
        (choice.name, identity),
        is_function_of_text,
        lambda sampling: law_source(choice, target, sampling, kind="race"),
    )


def _hash_of(place: Path) -> str:
    """Of a file, or of the weight files of a folder; the name itself where there is neither (a hub id)."""
    files = [place] if place.is_file() else sorted(place.glob("*.safetensors")) + sorted(place.glob("*.bin"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest() if files else place.as_posix()
