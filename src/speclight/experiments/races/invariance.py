"""Drafter invariance on a real target: one seed, one text, whoever drafts, whatever the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from speclight.decoding.divergence import Divergence, near_tie_margin, plain_logits
from speclight.decoding.generate import Generation, generate_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.no_drafter import NoDrafter
from speclight.drafting.protocol import Drafter
from speclight.measure.rank_run import rank_run
from speclight.models.causal_lm import CausalLM
from speclight.models.common_prefix import common_prefix_length
from speclight.models.sampling import processed_probabilities
from speclight.progress import Progress, silent
from speclight.seeds import stream
from speclight.trees.growing_tree import CandidateLaw, GrowingTree
from speclight.trees.race_noise import RaceField
from speclight.verification.rules import rule_named

DrafterMaker = Callable[[], Drafter]


@dataclass(frozen=True, slots=True)
class Invariance:
    """Texts of one drafter and budget beside those of plain decoding at the same seeds, rule race.

    identical: to the token. near_ties: texts that leave plain decoding's where the two tokens came in so
    close together that rounding decides (`race_difference`). other: texts that leave it anywhere else, which
    would be a bug. tokens, calls: of all texts. observed: contexts whose R is known; rank_entropy: H[R] there
    (Miller-Madow, nats), bound: what it allows in tokens per call; None if no R is known.
    """

    drafter: str
    node_budget: int
    texts: int
    tokens: int
    calls: int
    identical: int
    near_ties: int
    other: int
    observed: int
    rank_entropy: float | None
    bound: float | None

    @property
    def tokens_per_call(self) -> float:
        """Tokens over calls, all texts together."""
        return self.tokens / self.calls


class RandomLaw:
    """A drafter that knows nothing: another law at every question."""

    name: str = "random"
    hidden_layers: tuple[int, ...] = ()

    def __init__(self, vocabulary_size: int) -> None:
        self._tokens = np.arange(vocabulary_size)
        self._rng = stream(0)

    def begin(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See LawSource."""

    def extend(self, token_ids: list[int], features: torch.Tensor | None) -> None:
        """See LawSource."""

    def laws(self, known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
        """See LawSource."""
        laws: list[CandidateLaw] = []
        for _ in nodes:
            weights = self._rng.exponential(size=len(self._tokens))
            laws.append(CandidateLaw(self._tokens, np.log(weights / weights.sum())))
        return laws


def drafter_invariance(
    target: CausalLM,
    prompts: Sequence[list[int]],
    drafters: Mapping[str, DrafterMaker],
    node_budgets: Sequence[int],
    settings: DecodeSettings,
    progress: Progress = silent,
) -> list[Invariance]:
    """Decode every prompt with every drafter and budget by the rule race, and compare with no drafter at all.

    prompts: token ids. drafters: by name, made anew for each. settings: its budget is replaced, its seed
    counted up from prompt to prompt. Without processors: the laws at differences are those of `sampling`.
    """
    own = [
        replace(settings, seed=settings.seed + number, record_ranks=True) for number in range(len(prompts))
    ]
    plain = [
        _decoded(target, prompt, NoDrafter(), replace(each, node_budget=1))
        for prompt, each in zip(prompts, own, strict=True)
    ]
    rows: list[Invariance] = []
    for name, make in drafters.items():
        for node_budget in node_budgets:
            texts = [
                _decoded(target, prompt, make(), replace(each, node_budget=node_budget))
                for prompt, each in zip(prompts, own, strict=True)
            ]
            differences = [
                race_difference(target, prompt, each, text, reference)
                for prompt, each, text, reference in zip(prompts, own, texts, plain, strict=True)
            ]
            rows.append(_row(name, node_budget, texts, differences, target.vocabulary_size))
            progress(len(rows), len(drafters) * len(node_budgets), "one text for every drafter")
    return rows


def _row(
    drafter: str,
    node_budget: int,
    texts: Sequence[Generation],
    differences: Sequence[Divergence | None],
    vocabulary_size: int,
) -> Invariance:
    """One row of the table of drafter invariance; differences: [texts] as `race_difference` gives them."""
    calls = [call for text in texts for call in text.calls]
    has_ranks = any(rank is not None for call in calls for rank in call.ranks or ())
    ranks = rank_run(calls, node_budget, vocabulary_size) if has_ranks else None
    near = sum(found is not None and found.is_near_tie for found in differences)
    identical = sum(found is None for found in differences)
    return Invariance(
        drafter=drafter,
        node_budget=node_budget,
        texts=len(texts),
        tokens=sum(len(text.token_ids) for text in texts),
        calls=len(calls),
        identical=identical,
        near_ties=near,
        other=len(texts) - identical - near,
        observed=0 if ranks is None else ranks.observed,
        rank_entropy=None if ranks is None else ranks.entropy.miller_madow,
        bound=None if ranks is None else ranks.bound.value,
    )


def _decoded(target: CausalLM, prompt: list[int], drafter: Drafter, settings: DecodeSettings) -> Generation:
    return generate_from_ids(target, prompt, drafter, rule_named("race"), settings)


def race_difference(
    target: CausalLM, prompt: list[int], settings: DecodeSettings, text: Generation, reference: Generation
) -> Divergence | None:
    """Where a text of the rule race first leaves the reference, at the same seed; None if it never does.

    By a plain pass over the common text. margin: how far the later of the two tokens comes in behind the
    winner of the race, in logits before the temperature (d nats of a race at temperature T are d T logits),
    which rounding moves; infinite where one text just ends, or where sampling excludes one of the tokens.
    """
    place = common_prefix_length(text.token_ids, reference.token_ids)
    if place == max(len(text.token_ids), len(reference.token_ids)):
        return None
    if place == min(len(text.token_ids), len(reference.token_ids)):
        return Divergence(place, float("inf"))
    before = [*prompt, *reference.token_ids[:place]]
    logits = plain_logits(target, before).cpu().numpy()
    law = processed_probabilities(logits[None], settings.sampling)[0]
    times = RaceField(settings.seed).times(len(before), len(law))
    with np.errstate(divide="ignore"):
        arrivals = np.log(times) - np.log(law)
    two = [text.token_ids[place], reference.token_ids[place]]
    behind = float(arrivals[two].max() - arrivals.min())
    size = float(np.abs(logits[two]).max())
    return Divergence(place, behind * settings.sampling.temperature, near_tie_margin(target, size))
