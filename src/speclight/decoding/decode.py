"""The loop of speculative decoding: draft, score, verify, commit."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from speclight.decoding.call_trace import CallTrace, PhaseSeconds
from speclight.decoding.node_laws import NodeLaws
from speclight.decoding.noise_streams import FollowsText, NoiseStreams, SeededNoise
from speclight.decoding.settings import DecodeSettings as DecodeSettings
from speclight.decoding.stopping import Stopping
from speclight.drafting.guarded import GuardedDrafter
from speclight.drafting.protocol import Drafter
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree
from speclight.verification.rule import VerifyRule


def check_draft_fits(rule: VerifyRule, tree: DraftTree) -> None:
    """Raise InvalidInput for a draft of a kind that the rule would verify wrongly."""
    if len(tree) > 1 and tree.kind not in rule.draft_kinds:  # a root alone is nobody's sample
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
    text: ScoredText | None = None,
) -> Iterator[CallTrace]:
    """Decode a continuation of the prompt, one target call at a time.

    Stops after an end-of-text token, where the settings say so, after `max_tokens` tokens, or when the
    context window is full; the last trace says which. The text depends on the seed, the drafter and the
    budget; its law does not depend on the latter two. A drafter that fails is left out with a warning, see
    GuardedDrafter.
    noise: where each call's randomness comes from; by default SeededNoise(settings.seed).
    text: an earlier text of this target, made to continue the prompt instead: what it has read of it is not
    read again. It must have been made with the drafter's hidden_layers.
    Raises InvalidInput and ContextOverflow as ScoredText does.
    """
    check_rule_fits(rule, settings.sampling)
    if text is None:
        text = ScoredText(target, prompt_ids, drafter.hidden_layers)
    else:
        text.continue_with(prompt_ids)
    guarded = GuardedDrafter(drafter, target.vocabulary_size)
    guarded.borrow(text.cache)
    guarded.begin(text.token_ids, text.features)
    stopping = Stopping(target, settings, prompt_ids)
    call = _Call(guarded, rule, text, settings, stopping, noise or SeededNoise(settings.seed))
    while True:
        trace = call.run()
        yield trace
        if trace.finish_reason is not None:
            return


class _Call:
    """One target call after another, on one text."""

    def __init__(
        self,
        drafter: GuardedDrafter,
        rule: VerifyRule,
        text: ScoredText,
        settings: DecodeSettings,
        stopping: Stopping,
        noise: NoiseStreams,
    ) -> None:
        self._drafter, self._rule, self._text = drafter, rule, text
        self._settings, self._stopping, self._noise = settings, stopping, noise
        self._processors = settings.logits_processors()

    def run(self) -> CallTrace:
        """Draft, score, verify, commit."""
        text, clock = self._text, [time.perf_counter()]
        start = len(text.token_ids)
        if isinstance(self._noise, FollowsText):
            self._noise.at(start)
        # A path of n nodes needs n positions, so a budget within the window's room cannot overflow it.
        draft = self._drafter.propose(min(self._settings.node_budget, text.room), self._noise.for_draft())
        tree = draft.tree
        check_draft_fits(self._rule, tree)
        clock.append(time.perf_counter())
        logits = text.score(tree)
        clock.append(time.perf_counter())
        laws = NodeLaws(text.token_ids, tree, logits, self._settings.sampling, self._processors)
        verdict = self._rule.verify(tree, laws, self._noise.for_verification(tree))
        emitted = self._stopping.cut(verdict.tokens(tree))
        margins = laws.top_two_margins(verdict.path[: len(emitted)])
        log_probs = laws.node_log_probs() if self._settings.record_target_log_probs else None
        clock.append(time.perf_counter())
        features = text.commit(verdict.path, emitted)
        self._drafter.observe(tree, logits.argmax(dim=1).cpu().numpy())
        self._drafter.extend(emitted, features)
        clock.append(time.perf_counter())
        reason = self._stopping.reason
        return CallTrace(
            start=start,
            tree=tree,
            draft_cost=draft.cost,
            path=verdict.path,
            emitted_tokens=tuple(emitted),
            top_two_margins=margins,
            target_log_probs=log_probs,
            seconds=PhaseSeconds(*np.diff(clock).tolist()),
            finish_reason="context_window" if reason is None and text.room <= 0 else reason,
        )
