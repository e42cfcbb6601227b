"""The many-to-one identity at one real context: nodes counted by search against nodes weighed by sampling.

N(t | c), the number of nodes of the token tree below c with V <= t, equals the mean over texts sampled from
c of sum over d of e^(S_d) 1{S_d <= t}: a node is sampled with probability e^-V and counted with weight e^V.
No independence between contexts is used, so the identity must hold at every single context of a real model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.experiments.many_to_one_settings import ManyToOneSettings as ManyToOneSettings
from speclight.measure.continuations import continuations_at
from speclight.measure.plan import run_plan
from speclight.measure.profile import Profile, ProfiledText
from speclight.measure.store import read_table, recording
from speclight.measure.true_limit import oracle_contexts
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent
from speclight.seeds import stream
from speclight.theory.laws.start_law import usable_starts


@dataclass(frozen=True, slots=True, eq=False)
class NodeCounts:
    """Nodes up to each level at one context, counted twice.

    levels: [levels] t, nats. exact: N(t | c) of the searched tree. sampled, standard_error: estimated.
    """

    levels: FloatArray
    exact: FloatArray
    sampled: FloatArray
    standard_error: FloatArray

    @property
    def z_scores(self) -> FloatArray:
        """[levels] (sampled - exact)/standard error; 0 where both agree without spread."""
        gaps = self.sampled - self.exact
        return np.divide(gaps, self.standard_error, out=np.zeros_like(gaps), where=self.standard_error > 0)


@dataclass(frozen=True, slots=True, eq=False)
class ContextCounts:
    """Both counts at one start of a profiled text. start: index of the first token after the context.

    turn: of the prompt that the text answers, from 1.
    """

    prompt_id: str
    family: str
    sample: int
    start: int
    counts: NodeCounts
    turn: int = 1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many counts are within two standard errors.

    counts, contexts: compared. counts_within, contexts_within: those within, contexts in all their counts.
    largest: the largest |z|.
    """

    counts: int
    counts_within: int
    contexts: int
    contexts_within: int
    largest: float


def agreement(found: Sequence[ContextCounts]) -> Agreement:
    """The account of all contexts."""
    by_context = [np.abs(context.counts.z_scores) for context in found]
    scores = np.concatenate([np.zeros(0), *by_context])
    return Agreement(
        counts=len(scores),
        counts_within=int((scores <= 2.0).sum()),
        contexts=len(found),
        contexts_within=sum(bool((scores <= 2.0).all()) for scores in by_context),
        largest=float(scores.max(initial=0.0)),
    )


def run_many_to_one(
    model: CausalLM,
    profile: Profile,
    settings: ManyToOneSettings,
    folder: Path,
    progress: Progress = silent,
) -> list[ContextCounts]:
    """Both counts at contexts of a profile; a context is the resumable unit.

    Raises StorageError if the folder holds another plan, InvalidInput if no text has a usable start.
    """
    chosen = _chosen_contexts(profile, settings)
    plan = run_plan(
        "many-to-one",
        model,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        settings={**asdict(settings), "ranks": settings.ranks},
        sampling=asdict(profile.settings.sampling),
        starts=[[*text.key, start] for text, start in chosen],
    )
    found: list[ContextCounts] = []
    with recording(folder, plan) as records:
        for number, (text, start) in enumerate(chosen):
            name = f"context-{number:04d}"
            if not records.has(name):
                context = [*text.prompt_token_ids, *text.token_ids[:start]]
                rng = stream(settings.seed, number)
                uniforms = rng.random((settings.continuations, settings.node_budget - 1))
                counts = node_counts(
                    model, context, settings.node_budget, settings.ranks, uniforms, profile.settings.sampling
                )
                records.write(name, pa.table({column: getattr(counts, column) for column in _COLUMNS}))
            columns = read_table(folder, name).to_pydict()
            counts = NodeCounts(*(np.array(columns[column]) for column in _COLUMNS))
            found.append(ContextCounts(text.prompt_id, text.family, text.sample, start, counts, text.turn))
            progress(number + 1, len(chosen), f"many-to-one: {settings.continuations} continuations each")
    return found


_COLUMNS = ("levels", "exact", "sampled", "standard_error")


def _chosen_contexts(profile: Profile, settings: ManyToOneSettings) -> list[tuple[ProfiledText, int]]:
    pool = [
        (text, start)
        for family in profile.families
        for text, sampled in zip(profile.of_family(family), profile.sampled_texts(family), strict=True)
        for start in range(usable_starts(sampled, 1))
    ]
    count = min(settings.contexts, len(pool))
    if count == 0:
        raise InvalidInput("the profile has no token to start from; profile at least one prompt")
    offset = stream(settings.seed, len(pool)).random()
    return [pool[int((offset + place) * len(pool) / count)] for place in range(count)]


def node_counts(
    model: CausalLM,
    token_ids: list[int],
    node_budget: int,
    ranks: Sequence[int],
    uniforms: FloatArray,
    sampling: SamplingSettings,
) -> NodeCounts:
    """Both counts below the context `token_ids`, at levels that hold exactly `ranks` nodes.

    ranks: each below node_budget, so that the searched tree knows every node up to the level, which lies
    halfway to the next node (no rounding of V decides). uniforms: [continuations, node_budget - 1], in
    [0, 1): one token each; a continuation stops once its sum of surprisals is past every level.
    """
    root = len(token_ids) - 1
    (context,) = oracle_contexts(model, token_ids, [root], node_budget, sampling)
    values = -context.path_log_probs
    places = np.array([rank for rank in ranks if rank < len(values)])
    levels = (values[places - 1] + values[places]) / 2
    exact = np.searchsorted(values, levels).astype(np.float64)
    weights = _sampled_weights(model, token_ids, levels, uniforms, sampling)
    error = weights.std(axis=0, ddof=1) / sqrt(len(weights))
    return NodeCounts(levels, exact, weights.mean(axis=0), error)


def _sampled_weights(
    model: CausalLM,
    token_ids: list[int],
    levels: FloatArray,
    uniforms: FloatArray,
    sampling: SamplingSettings,
) -> FloatArray:
    """[continuations, levels] sum over d of e^(S_d) 1{S_d <= t}, the root's 1 included."""
    root, highest = len(token_ids) - 1, float(levels.max())
    (continuations,) = continuations_at(model, token_ids, [root], uniforms[None], highest, sampling)
    weights = np.ones((len(continuations), len(levels)))
    for row, item in enumerate(continuations):
        # An end of text is never a node.
        sums = np.cumsum(-item.log_probs[~np.isin(item.tokens, list(model.end_of_text))])[:, None]
        weights[row] += (np.exp(sums) * (sums <= levels)).sum(axis=0)
    return weights
