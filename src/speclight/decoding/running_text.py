"""One text while it is decoded: it drafts, and takes in what the target says to the draft."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.decoding.call_trace import CallTrace, PhaseSeconds
from speclight.decoding.logits_processors import check_repeatable
from speclight.decoding.node_laws import NodeLaws
from speclight.decoding.noise_streams import FollowsText, NoiseStreams, SeededNoise, TextNoise
from speclight.decoding.pace import pace_of
from speclight.decoding.rank_trace import RankTrace, traced_ranks
from speclight.decoding.settings import AUTO, DecodeSettings
from speclight.decoding.stopping import Stopping
from speclight.drafting.guarded import GuardedDrafter
from speclight.drafting.protocol import Drafter, DraftsAhead
from speclight.drafting.race import race_of
from speclight.errors import BrokenModelOutput, InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.scored_text import ScoredText
from speclight.trees.draft_tree import DraftTree
from speclight.verification.expectation import expected_tokens
from speclight.verification.rule import VerifyRule


@dataclass(frozen=True, slots=True, eq=False)
class DecodeRequest:
    """One text to decode.

    drafter: serves this text alone until it ends. noise: where each call's randomness comes from;
    SeededNoise(settings.seed) if None. text: an earlier text of the target, made to continue the prompt
    instead: what it has read of it is not read again. It must have been made with the drafter's
    hidden_layers. prompt_name: what errors call the prompt.
    """

    prompt_ids: list[int]
    drafter: Drafter
    settings: DecodeSettings
    noise: NoiseStreams | None = None
    text: ScoredText | None = None
    prompt_name: str = "the prompt"


def check_draft_fits(rule: VerifyRule, tree: DraftTree) -> None:
    """Raise InvalidInput for a draft of a kind that the rule would verify wrongly."""
    if len(tree) > 1 and tree.kind not in rule.draft_kinds:  # a root alone is nobody's sample
        raise InvalidInput(
            f"rule {rule.name!r} verifies drafts that are {' or '.join(sorted(rule.draft_kinds))}, got a "
            f"{tree.kind} one; choose a drafter setting or a rule that fit together"
        )


def check_rule_fits(rule: VerifyRule, settings: DecodeSettings) -> None:
    """Raise InvalidInput for greedy match above temperature 0, where its text is not the target's.

    And for ranks of a rule that does not emit a race's winner.
    """
    sampling = settings.sampling
    if settings.record_ranks and rule.name != "race":
        raise InvalidInput(
            f"ranks are those of a race, got the rule {rule.name!r}; use race, or leave record_ranks out"
        )
    if rule.name == "greedy" and sampling.temperature != 0.0:
        raise InvalidInput(
            f"rule 'greedy' always emits the most probable token, got temperature {sampling.temperature}; "
            "use temperature 0, or a sampling rule such as 'target_sample'",
            argument="temperature",
        )


def check_can_draft_ahead(drafter: Drafter, settings: DecodeSettings) -> None:
    """Raise InvalidInput where a drafter is to draft ahead that cannot."""
    if settings.draft_ahead and not (isinstance(drafter, DraftsAhead) and drafter.drafts_ahead):
        raise InvalidInput(
            f"got draft_ahead with the drafter {drafter.name!r}, expected one whose laws depend on the "
            "tokens alone and take a model to compute; use model, layer_skip or two_stage, or leave "
            "draft_ahead out",
            argument="draft_ahead",
        )


@contextmanager
def naming(prompt_name: str) -> Iterator[None]:
    """Say in a BrokenModelOutput which prompt it was met at."""
    try:
        yield
    except BrokenModelOutput as error:
        raise BrokenModelOutput(f"decoding {prompt_name}: {error}") from error


class RunningText:
    """A text between its prompt and its end. Each target call asks it to `draft`, then to `take` the logits.

    number: which text it is of those decoded together.
    Raises InvalidInput and ContextOverflow as ScoredText does.
    """

    def __init__(self, target: CausalLM, rule: VerifyRule, request: DecodeRequest, number: int) -> None:
        started, settings = time.perf_counter(), request.settings
        check_rule_fits(rule, settings)
        check_can_draft_ahead(request.drafter, settings)
        target.check_text_fits(request.prompt_ids, request.prompt_name)
        self.prompt_name, self.is_finished = request.prompt_name, False
        with naming(request.prompt_name):
            if request.text is None:
                self.scored = ScoredText(target, request.prompt_ids, request.drafter.hidden_layers)
            else:
                self.scored = request.text
                self.scored.continue_with(request.prompt_ids)
        self._rule, self._settings, self._number = rule, settings, number
        is_auto = settings.node_budget == AUTO
        # Sizes that depend on the clock must not reach the text where they need not.
        self._noise = request.noise or (TextNoise if is_auto else SeededNoise)(settings.seed)
        self._following = self._noise if isinstance(self._noise, FollowsText) else None
        self._processors = settings.logits_processors()
        self._stopping = Stopping(target, settings, request.prompt_ids)
        self._drafter = GuardedDrafter(request.drafter, target.vocabulary_size)
        self.drafts_ahead = settings.draft_ahead
        self._pace = (
            pace_of(
                target, request.drafter.name, rule.name, settings.sampling.temperature, settings.draft_ahead
            )
            if is_auto
            else None
        )
        if self._pace is not None:
            self._pace.begin()
        self._drafter.keep_pace(self._pace)
        if not self.drafts_ahead:  # which the target writes to while the drafter is at work
            self._drafter.borrow(self.scored.cache)
        self._drafter.begin(self.scored.token_ids, self.scored.features)
        self._draft_seconds = self._ahead_seconds = self._hidden_seconds = 0.0
        self._prefill_seconds = time.perf_counter() - started

    def draft(self) -> DraftTree:
        """The tree that the next call is to score."""
        started = time.perf_counter()
        if self._following is not None:
            self._following.at(len(self.scored.token_ids))
        # A path of n nodes needs n positions, so a budget within the window's room cannot overflow it.
        budget = min(self._node_budget(), self.scored.room)
        self._draft_noise = self._noise.for_draft()
        self._draft = self._drafter.propose(budget, self._draft_noise)
        check_draft_fits(self._rule, self._draft.tree)
        self._draft_seconds = time.perf_counter() - started
        self._hidden_seconds, self._ahead_seconds = self._ahead_seconds, 0.0
        return self._draft.tree

    def draft_ahead(self) -> bool:
        """See DraftsAhead: between `draft` and `take`, from another thread."""
        started = time.perf_counter()
        goes_on = self._drafter.draft_ahead()
        self._ahead_seconds += time.perf_counter() - started
        return goes_on

    def take(self, logits: torch.Tensor, target_seconds: float, waiting_seconds: float = 0.0) -> CallTrace:
        """Verify the draft by its logits, [nodes, vocab], and commit what is accepted.

        waiting_seconds: for the drafter's call under way when the target's was over.
        """
        text, tree, clock = self.scored, self._draft.tree, [time.perf_counter()]
        start = len(text.token_ids)
        if self._processors and self._stopping.emitted == 0:
            check_repeatable(self._processors, torch.tensor(text.token_ids, device=logits.device), logits[0])
        laws = NodeLaws(text.token_ids, tree, logits, self._settings.sampling, self._processors)
        verdict = self._rule.verify(tree, laws, self._noise.for_verification(tree))
        emitted = self._stopping.cut(verdict.tokens(tree))
        margins = laws.top_two_margins(verdict.path[: len(emitted)])
        clock.append(time.perf_counter())
        features = text.commit(verdict.path, emitted)
        if self._drafter.observes:
            self._drafter.observe(tree, _best_tokens(logits))
        self._drafter.extend(emitted, features)
        clock.append(time.perf_counter())
        reason = self._stopping.reason
        if reason is None and text.room <= 0:
            reason = "context_window"
        self.is_finished = reason is not None
        prefill_seconds, self._prefill_seconds = self._prefill_seconds, 0.0
        trace = CallTrace(
            start=start,
            tree=tree,
            draft_cost=self._draft.cost,
            path=verdict.path,
            emitted_tokens=tuple(emitted),
            top_two_margins=margins,
            target_log_probs=laws.node_log_probs() if self._settings.record_target_log_probs else None,
            seconds=PhaseSeconds(
                self._draft_seconds + waiting_seconds, target_seconds, *np.diff(clock).tolist()
            ),
            finish_reason=reason,
            text_number=self._number,
            prefill_seconds=prefill_seconds,
            ranks=self._ranks(verdict.path, emitted, laws),
            tokens_by_rule=(
                expected_tokens(self._rule, tree, laws) if self._settings.record_expected_tokens else None
            ),
            drafted_ahead=self._draft.ahead,
            ahead_seconds=self._hidden_seconds,
        )
        if self._pace is not None:
            self._pace.learn(trace)
        return trace

    def _ranks(
        self, path: IntArray, emitted: list[int], laws: NodeLaws
    ) -> tuple[RankTrace | None, ...] | None:
        if not self._settings.record_ranks:
            return None
        race, ends = race_of(self._draft_noise), self.scored.model.end_of_text
        return traced_ranks(self._draft, path, emitted, laws, race, ends)

    def _node_budget(self) -> int:
        if self._pace is not None:
            return self._pace.node_budget(grows=self._drafter.grows)
        assert self._settings.node_budget != AUTO, "auto has a pace"
        return self._settings.node_budget


def _best_tokens(logits: torch.Tensor) -> IntArray:
    """[nodes]; on a CPU numpy takes a tenth of the time torch does, elsewhere only the indices are moved."""
    if logits.device.type == "cpu":
        return logits.numpy().argmax(axis=1)
    return logits.argmax(dim=1).cpu().numpy()
