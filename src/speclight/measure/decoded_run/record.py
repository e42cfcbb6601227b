"""A decoded run as it is kept: texts, calls, seconds, and what was possible at each call's start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.decoding.call_trace import PhaseSeconds
from speclight.measure.decoded_run.settings import DecodedRunSettings
from speclight.measure.profile import ProfiledText
from speclight.theory.laws.sampled_text import SampledText


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class RecordedCall:
    """One call of the first round.

    start: tokens committed before it, the prompt's included. tokens, parents, drafter_log_probs,
    target_log_probs: [nodes] of its tree, as in DraftTree, the log-probabilities given the parent, nats.
    accepted: accepted drafts and one. emitted: tokens left of them at an end or limit. tokens_by_rule: E[X |
    tree] of the rule used, None for drafts that share their noise with the verdict.
    """

    start: int
    tokens: IntArray
    parents: IntArray
    drafter_log_probs: FloatArray
    target_log_probs: FloatArray
    accepted: int
    emitted: int
    tokens_by_rule: float | None
    seconds: PhaseSeconds

    @property
    def target_path_log_probs(self) -> FloatArray:
        """[nodes] of the path from the root, under the target: E[X | tree] is the sum of its exp(.)."""
        sums = np.zeros(len(self.tokens))
        for node in range(1, len(sums)):
            sums[node] = sums[self.parents[node]] + self.target_log_probs[node]
        return sums


@dataclass(frozen=True, slots=True, eq=False)
class CallStart:
    """What was possible where a call starts.

    best: [nodes] log-probabilities, nats, of the paths of the target's best tree, falling, the root's 0.
    likeliest: [nodes] of the paths most probable under the drafter, in its order, under the target.
    """

    best: FloatArray
    likeliest: FloatArray


@dataclass(frozen=True, slots=True)
class RoundTotals:
    """One round of one text: calls, tokens accepted and emitted (see RecordedCall), seconds by phase."""

    calls: int
    accepted: int
    emitted: int
    seconds: PhaseSeconds


@dataclass(frozen=True, slots=True, eq=False)
class DecodedText:
    """The answer to one turn of a prompt.

    token_ids, log_probs: [tokens] emitted in the first round, and their log-probabilities under the target's
    law, nats. ended: whether it ended by itself, not at a limit. calls, starts: of the first round, one each.
    drafted, plain: by round.
    """

    prompt_id: str
    family: str
    turn: int
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    log_probs: FloatArray
    ended: bool
    calls: tuple[RecordedCall, ...]
    starts: tuple[CallStart, ...]
    drafted: tuple[RoundTotals, ...]
    plain: tuple[RoundTotals, ...]

    @property
    def sampled(self) -> SampledText:
        """As limits take it."""
        return SampledText(-self.log_probs, self.ended, self.prompt_id)

    @property
    def profiled(self) -> ProfiledText:
        """As traces take it."""
        return ProfiledText(
            self.prompt_id,
            self.family,
            sample=0,
            prompt_token_ids=self.prompt_token_ids,
            token_ids=self.token_ids,
            log_probs=self.log_probs,
            entropies=None,
            second_log_moments=None,
            ended=self.ended,
            turn=self.turn,
        )


@dataclass(frozen=True, slots=True, eq=False)
class DecodedRun:
    """A run: who drafted which trees, the rule that verified them, and all texts."""

    target: str
    drafter: str
    tree: str
    rule: str
    settings: DecodedRunSettings
    texts: tuple[DecodedText, ...]

    @property
    def families(self) -> tuple[str, ...]:
        """Families in order of appearance."""
        return tuple(dict.fromkeys(text.family for text in self.texts))
