"""How much drafting pays, learned while decoding: what `node_budget="auto"` goes by.

Ours; the rule is the fixed point of docs/theory/seconds.md with measured call times. A decode that emits rho
tokens per second gives up rho tokens for every second it spends, so a node is worth scoring, and another
level worth drafting, if and only if the tokens expected from it exceed rho times the seconds it costs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from speclight.arrays import FloatArray, IntArray
from speclight.decoding.recent_seconds import CEILING, PLAIN_COSTS, RECENT, RecentSeconds
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import DraftCost

if TYPE_CHECKING:  # a pace can be led by made-up calls, without a model
    from speclight.models.causal_lm import CausalLM

# Nothing is drafted before so many plain calls: by a single one that something interrupted, drafting would
# seem to pay for a whole text. And plain calls come in between, so many that they cost this share of a text:
# the less drafting saves, the more, but so many calls apart, as many as that while few are known.
FIRST_PLAIN = 3
REFRESHING, SHORTEST_REFRESHING = 0.01, 8
# The rate is that of so many recent calls.
RECENT_CALLS = 64
# No tree is larger than this many times the largest one timed: where larger calls do take longer, a first
# tree of all nodes that seem worth it takes as long as several plain calls, and a short text never wins that
# back (docs/results/lab_log.md).
BOLDEST = 2
# A level of drafting never tried is taken to cost this share of a plain call.
HOPED_LEVEL = 0.1
# Whatever the estimates say: what a draft costs beyond a plain call is staked, and no more than is there. A
# text begins with so many plain calls, every token adds a share of one, and what is won over plain decoding,
# or lost, is added, up to so many. So 64 tokens take at most 2.3% longer than plain ones, if calls take what
# they took before.
FIRST_STAKE, STAKE_BY_TOKEN, LARGEST_STAKE = 1.0, 0.007, 8.0
# Plain calls before drafting is tried again; doubled by every failure.
FIRST_WAIT, LONGEST_WAIT = 16, 256
TRIAL_NODES = 4
HOPED_CONTINUATION = 0.6
# Path log-probabilities are calibrated in bins with these edges, falling.
EDGES = -np.array([0.02, 0.1, 0.25, 0.5, 0.8, 1.2, 1.7, 2.3, 3.0, 4.0, 6.0])
# The drafter's own word counts as so many observations in every bin; older ones fade by this factor a call.
PRIOR_TRIALS, FADING = 4.0, 0.98


class SpentSeconds(Protocol):
    """Wall time of one call, as `PhaseSeconds`."""

    @property
    def draft(self) -> float:
        """Of drafting."""
        ...

    @property
    def total(self) -> float:
        """Of all of it."""
        ...


class PacedCall(Protocol):
    """What one call did and cost, as `CallTrace`."""

    @property
    def tree(self) -> DraftTree:
        """That was scored."""
        ...

    @property
    def draft_cost(self) -> DraftCost:
        """Of growing it."""
        ...

    @property
    def path(self) -> IntArray:
        """Accepted nodes, root first."""
        ...

    @property
    def tokens_emitted(self) -> int:
        """What they added to the text."""
        ...

    @property
    def seconds(self) -> SpentSeconds:
        """What it took."""
        ...


class Calibration:
    """How often drafted nodes are accepted, by their path probability under the drafter."""

    def __init__(self) -> None:
        self._trials = np.zeros(len(EDGES) + 1)
        self._accepted = np.zeros(len(EDGES) + 1)

    def learn(self, path_log_probs: FloatArray, accepted: FloatArray) -> None:
        """[nodes] the drafted ones, root left out, and for each 1 if it was accepted, else 0."""
        bins = _bins(path_log_probs)
        self._trials *= FADING
        self._accepted *= FADING
        np.add.at(self._trials, bins, 1.0)
        np.add.at(self._accepted, bins, accepted)

    def probability(self, path_log_probs: FloatArray) -> FloatArray:
        """[nodes] the chance that a node is accepted: as seen in its bin, beside its own probability."""
        bins = _bins(path_log_probs)
        own = np.exp(path_log_probs)
        return (self._accepted[bins] + PRIOR_TRIALS * own) / (self._trials[bins] + PRIOR_TRIALS)


def _bins(path_log_probs: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.searchsorted(-EDGES, -path_log_probs)


class Pace:
    """What the calls of a decode teach about how much to draft next.

    Texts of one target and drafter may share it, one after the other or in a batch. call_seconds: what is
    known of the target's calls, which depend on no drafter; nothing if None.
    """

    def __init__(self, call_seconds: RecentSeconds | None = None) -> None:
        self.calibration, self.call_seconds = Calibration(), call_seconds or RecentSeconds()
        # Of a plain call, what a level of drafting took.
        self._level_costs: deque[float] = deque(maxlen=RECENT)
        self._tokens: deque[int] = deque(maxlen=RECENT_CALLS)
        self._seconds: deque[float] = deque(maxlen=RECENT_CALLS)
        # Of calls with a draft: tokens, and how many plain calls such a call usually takes the time of.
        self._drafted: deque[tuple[int, float]] = deque(maxlen=RECENT_CALLS)
        self._stake = FIRST_STAKE  # plain calls that this text can lose on its next one
        # How often, of the times that the drafter was asked, anything it said was worth scoring.
        self._answered, self._asked = PRIOR_TRIALS, PRIOR_TRIALS
        # Of a node that was accepted and had children: how often one of them was accepted too.
        self._went_on, self._could_go_on = HOPED_CONTINUATION * PRIOR_TRIALS, PRIOR_TRIALS
        self._wait, self._since_draft, self._since_plain = FIRST_WAIT, 0, 0
        self._is_trial = self._trial_is_out = False
        self._levels = 0  # that the drafter was asked for since the budget was

    def begin(self) -> None:
        """A text begins: what earlier ones won over plain decoding is not there to be lost on this one."""
        self._stake = FIRST_STAKE

    def node_budget(self, *, grows: bool) -> int:
        """The most nodes the next tree may have; 1 where the next call had better be plain.

        grows: whether the drafter asks, while it grows a tree, what is worth its cost. Of one that does not,
        the budget itself is set to what a chain of the usual acceptance is worth.
        """
        self._is_trial, self._levels = False, 0
        pays, is_due = self._first_level_pays(), self._since_draft >= self._wait
        if grows and not (pays or is_due):  # nearly every call of a text that is best decoded plain
            return 1
        affordable = self._affordable(grows) if self.call_seconds.plain_calls >= FIRST_PLAIN else 1
        if affordable == 1:
            return 1
        budget = (CEILING if pays else 1) if grows else self._best_chain()
        budget = min(budget, affordable, BOLDEST * self.call_seconds.largest)
        if self._since_plain >= SHORTEST_REFRESHING and (
            self.call_seconds.plain_calls < PLAIN_COSTS or self._since_plain * REFRESHING >= self._gain
        ):
            return 1
        if budget == 1 and is_due:
            # Counted at once, so that of the texts of a batch one is tried, not all.
            self._is_trial, self._since_draft, budget = True, 0, min(TRIAL_NODES, affordable)
            self._trial_is_out = True
        return budget

    def worth_expanding(self, path_log_probs: FloatArray, size: int) -> list[bool]:
        """[nodes] whether to ask the drafter what follows each; all False: the level does not pay.

        path_log_probs: of the nodes whose continuations are unknown. size: of the tree so far.
        """
        if self._is_trial:
            return [size < TRIAL_NODES] * len(path_log_probs)
        if size == 1:
            worth = np.full(len(path_log_probs), self._first_level_pays())
            self._levels += bool(worth.any())
            return worth.tolist()
        gains = self.calibration.probability(path_log_probs) * self._continuation
        worth = gains > self.rate * self._marginal_seconds(size)
        costs = self._level + self._marginal_seconds(size)
        if gains[worth].sum() <= self.rate * costs or self._lost_by(size) + costs > self._seconds_staked:
            worth[:] = False
        self._levels += bool(worth.any())
        return worth.tolist()

    def worth_scoring(self, path_log_probs: FloatArray) -> int:
        """How many of a tree's nodes to score, the likeliest first and the root among them.

        path_log_probs: [nodes] falling, the root's 0 first.
        """
        if self._is_trial:
            return min(TRIAL_NODES, len(path_log_probs))
        gains = self.calibration.probability(path_log_probs)
        gains[0] = 1.0
        gains = np.minimum.accumulate(gains)  # a child is accepted no more often than its parent
        nodes = min(len(gains), CEILING)
        values = np.cumsum(gains[:nodes]) - self.rate * self.call_seconds.curve[:nodes]
        return int(np.argmax(values)) + 1

    def learn(self, trace: PacedCall) -> None:
        """Take in what one call did and cost."""
        seconds, tree = trace.seconds, trace.tree
        self.call_seconds.learn(len(tree), seconds.total - seconds.draft)
        plain = self.call_seconds.plain
        if trace.draft_cost.calls and plain:
            self._level_costs.append(seconds.draft / trace.draft_cost.calls / plain)
        self._tokens.append(trace.tokens_emitted)
        self._seconds.append(seconds.total)
        if plain:  # else nothing is known to win over, and nothing is drafted
            # By what such calls usually take: another process's interruption is no loss of drafting.
            usual = 1.0
            if trace.draft_cost.calls:
                usual = float(self.call_seconds.curve[min(len(tree), CEILING) - 1]) / plain
                usual += trace.draft_cost.calls * self._level / plain
                self._drafted.append((trace.tokens_emitted, usual))
            won = (1.0 + STAKE_BY_TOKEN) * trace.tokens_emitted - usual
            self._stake = min(LARGEST_STAKE, self._stake + won)
        if not trace.draft_cost.calls:
            self._since_draft += 1
            self._since_plain = 0
            return
        self._since_plain += 1
        self._since_draft = 0
        self._asked = FADING * self._asked + 1.0
        self._answered = FADING * self._answered + (len(tree) > 1)
        if len(tree) == 1:
            return
        accepted = np.zeros(len(tree))
        accepted[trace.path] = 1.0
        self.calibration.learn(np.array(tree.path_log_probs[1:]), accepted[1:])
        parents = np.unique(tree.parents[1:])
        self._could_go_on = FADING * self._could_go_on + accepted[parents].sum()
        self._went_on = FADING * self._went_on + accepted[1:].sum()
        self._settle_trial(trace)

    @property
    def rate(self) -> float:
        """Tokens per second that decoding reaches, no less than plain decoding's. Needs a plain call."""
        reached = sum(self._tokens) / sum(self._seconds) if self._tokens else 0.0
        return max(1.0 / self.call_seconds.plain, reached)

    @property
    def _gain(self) -> float:
        """What drafting saves of a plain call, for every token, over the recent calls that had a draft."""
        tokens, plain_calls = (sum(each) for each in zip(*self._drafted, strict=True))
        return tokens / plain_calls - 1.0

    @property
    def _level(self) -> float:
        return self.call_seconds.plain * (median(self._level_costs) if self._level_costs else HOPED_LEVEL)

    @property
    def _continuation(self) -> float:
        return self._went_on / self._could_go_on

    def _first_level_pays(self) -> bool:
        """Whether to ask the drafter what follows the root; not all it says will be worth scoring."""
        if not self.call_seconds.plain:
            return False
        rate, level, scoring = self.rate, self._level, self._marginal_seconds(1)
        gain = (self._continuation - rate * scoring) * self._answered / self._asked
        return gain > rate * level and level + scoring <= self._seconds_staked

    def _marginal_seconds(self, size: int) -> float:
        curve, here = self.call_seconds.curve, min(size, CEILING - 1)
        # Over the sizes up to twice this one: a curve may be flat, or even fall, at its next step.
        there = min(2 * here, CEILING - 1)
        return max(0.0, float(curve[there] - curve[here - 1])) / (there - here + 1)

    def _best_chain(self) -> int:
        depths = np.arange(CEILING)
        gains = np.cumsum(self._continuation**depths)
        return int(np.argmax(gains - self.rate * (self.call_seconds.curve + depths * self._level))) + 1

    @property
    def _seconds_staked(self) -> float:
        return self._stake * self.call_seconds.plain

    def _lost_by(self, size: int) -> float:
        """Seconds beyond those of a plain call, if nothing of a tree of this size is accepted."""
        curve = self.call_seconds.curve
        return float(curve[min(size, CEILING) - 1] - curve[0]) + self._levels * self._level

    def _affordable(self, grows: bool) -> int:
        """Nodes of the largest tree that can be staked: a grown one has a level at least, a chain all."""
        curve, depths = self.call_seconds.curve, np.arange(CEILING)
        lost = curve - curve[0] + self._level * (np.minimum(depths, 1) if grows else depths)
        return max(1, int(np.searchsorted(lost, self._seconds_staked, side="right")))

    def _settle_trial(self, trace: PacedCall) -> None:
        if self._trial_is_out and len(trace.tree) <= TRIAL_NODES:
            self._trial_is_out = False
            won = trace.tokens_emitted / trace.seconds.total > 1.0 / self.call_seconds.plain
            self._wait = FIRST_WAIT if won else min(2 * self._wait, LONGEST_WAIT)


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What was learned about a target: the seconds of its calls, and what each drafter's calls taught.

    seconds: by whether the drafter works during the target's calls. paces: by drafter, rule, temperature and
    that.
    """

    seconds: dict[bool, RecentSeconds] = field(default_factory=dict[bool, RecentSeconds])
    paces: dict[tuple[str, str, float, bool], Pace] = field(
        default_factory=dict[tuple[str, str, float, bool], Pace]
    )


# Of every loaded target, so that the next text need not learn it again.
_KNOWN: WeakKeyDictionary[CausalLM, _Known] = WeakKeyDictionary()


def pace_of(target: CausalLM, drafter: str, rule: str, temperature: float, draft_ahead: bool = False) -> Pace:
    """What this process has learned so far about this target with this drafter and rule, by their names.

    What calls of the target cost is common to all drafters, rules and temperatures.
    """
    known = _KNOWN.setdefault(target, _Known())
    seconds = known.seconds.setdefault(draft_ahead, RecentSeconds())
    return known.paces.setdefault((drafter, rule, temperature, draft_ahead), Pace(seconds))
