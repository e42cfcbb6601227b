"""The loop of speculative decoding: draft, score, verify, commit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from speclight.decoding.call_trace import CallTrace, PhaseSeconds
from speclight.decoding.noise_streams import NoiseStreams, SeededNoise
from speclight.drafting.protocol import Drafter
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings, processed_probabilities
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree, FloatArray
from speclight.verification.rule import VerifyRule


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """How to decode.

    node_budget: P, positions scored in one target call, root included: a ceiling, only drafted nodes are
    scored. max_tokens: tokens to emit at the most. seed: of all randomness. sampling: the target's law.
    record_target_log_probs: whether traces hold the target's log-probability of every drafted node.
    """

    node_budget: int = 8
    max_tokens: int = 128
    seed: int = 0
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    record_target_log_probs: bool = False

    def __post_init__(self) -> None:
        for name in ("node_budget", "max_tokens"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise InvalidInput(f"seed must be >= 0, got {self.seed}")


def check_draft_fits(rule: VerifyRule, tree: DraftTree) -> None:
    """Raise InvalidInput for a draft of a kind that the rule would verify wrongly."""
    if tree.kind not in rule.draft_kinds:
        raise InvalidInput(
            f"rule {rule.name!r} verifies drafts that are {' or '.join(sorted(rule.draft_kinds))}, got a "
            f"{tree.kind} one; choose a drafter setting or a rule that fit together"
        )


def check_rule_fits(rule: VerifyRule, sampling: SamplingSettings) -> None:
    """Raise InvalidInput for greedy match above temperature 0, where its text is not the target's."""
    if rule.name == "greedy" and sampling.temperature != 0.0:
        raise InvalidInput(
            f"rule 'greedy' always emits the most probable token, got temperature {sampling.temperature}; "
            "use --temperature 0, or a sampling rule such as 'target_sample'"
        )


def decode(
    target: CausalLM,
    drafter: Drafter,
    rule: VerifyRule,
    prompt_ids: list[int],
    settings: DecodeSettings,
    noise: NoiseStreams | None = None,
) -> Iterator[CallTrace]:
    """Decode a continuation of the prompt, one target call at a time.

    Stops after an end-of-text token, after `max_tokens` tokens, or when the context window is full.
    The text depends on the seed, the drafter and the budget; its law does not depend on the latter two.
    noise: where each call's randomness comes from; by default SeededNoise(settings.seed).
    Raises InvalidInput and ContextOverflow as ScoredText does.
    """
    check_rule_fits(rule, settings.sampling)
    noise = noise or SeededNoise(settings.seed)
    text = ScoredText(target, prompt_ids, drafter.hidden_layers)
    drafter.begin(text.token_ids, text.features)
    remaining = settings.max_tokens
    while remaining > 0 and text.room > 0:
        trace = _call(target, drafter, rule, text, settings, remaining, noise)
        remaining -= trace.tokens_emitted
        yield trace
        if trace.emitted_tokens[-1] in target.end_of_text:
            return


def _call(
    target: CausalLM,
    drafter: Drafter,
    rule: VerifyRule,
    text: ScoredText,
    settings: DecodeSettings,
    remaining: int,
    noise: NoiseStreams,
) -> CallTrace:
    clock = [time.perf_counter()]
    start = len(text.token_ids)
    # A path of n nodes needs n positions, so a budget within the window's room cannot overflow it.
    draft = drafter.propose(min(settings.node_budget, text.room), noise.for_draft())
    tree = draft.tree
    check_draft_fits(rule, tree)
    clock.append(time.perf_counter())
    logits = text.score(tree)
    clock.append(time.perf_counter())

    def target_law(node: int) -> FloatArray:
        return processed_probabilities(logits[node].cpu().numpy()[None], settings.sampling)[0]

    verdict = rule.verify(tree, target_law, noise.for_verification(tree))
    emitted = _cut(verdict.tokens(tree), remaining, target.end_of_text)
    clock.append(time.perf_counter())
    features = text.commit(verdict.path, emitted)
    drafter.extend(emitted, features)
    clock.append(time.perf_counter())
    deciding = torch.topk(logits[torch.from_numpy(verdict.path[: len(emitted)])], 2, dim=1).values
    return CallTrace(
        start=start,
        tree=tree,
        draft_cost=draft.cost,
        path=verdict.path,
        emitted_tokens=tuple(emitted),
        top_two_margins=tuple((deciding[:, 0] - deciding[:, 1]).tolist()),
        target_log_probs=_node_log_probs(tree, logits, settings)
        if settings.record_target_log_probs
        else None,
        seconds=PhaseSeconds(*np.diff(clock).tolist()),
    )


def _cut(tokens: list[int], remaining: int, end_of_text: frozenset[int]) -> list[int]:
    for index, token in enumerate(tokens[:remaining]):
        if token in end_of_text:
            return tokens[: index + 1]
    return tokens[:remaining]


def _node_log_probs(tree: DraftTree, logits: torch.Tensor, settings: DecodeSettings) -> FloatArray:
    log_probs = np.zeros(len(tree))
    if len(tree) == 1:
        return log_probs
    parents, row = np.unique(tree.parents[1:], return_inverse=True)
    laws = processed_probabilities(logits[torch.from_numpy(parents)].cpu().numpy(), settings.sampling)
    with np.errstate(divide="ignore"):  # a drafted token may have probability 0 under the target
        log_probs[1:] = np.log(laws[row, tree.tokens[1:]])
    return log_probs
