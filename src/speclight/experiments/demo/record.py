"""The records that measuring leaves behind and that a report is made of. Plain data, one schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from speclight.advice.waterfall import Waterfall
from speclight.advice.waterfall_words import RunSetup
from speclight.advice.what_if import WhatIf
from speclight.decoding.call_trace import PhaseSeconds
from speclight.measure.estimates import Estimate
from speclight.measure.machine_load import MachineLoad
from speclight.measure.paired_times import SpeedUp
from speclight.measure.provenance import Provenance
from speclight.measure.run_checks import LimitCheck
from speclight.theory.ergodic.certificates import LowerEstimate
from speclight.theory.ergodic.least_cost import UpperEstimate

SCHEMA = 6
# In the place of a family's name: what is said of all of them together.
ALL_FAMILIES = "all families"


@dataclass(frozen=True, slots=True)
class FamilyProfile:
    """Entropy profile of one prompt family, both estimators, nats and nats².

    full_*: from all logits of the visited contexts, None where an endpoint does not give them. sampled_*:
    from the log-probability of the sampled token alone, which is what an inference API gives.
    """

    family: str
    prompts: int
    tokens: int
    full_mu: Estimate | None
    full_mu2: Estimate | None
    sampled_mu: Estimate
    sampled_mu2: Estimate


@dataclass(frozen=True, slots=True)
class LimitCurve:
    """Tokens per target call over node budgets: a bound, a limit, or a measured limit.

    name: as in `speclight bound` (theorem_1, limit, renewal, ergodic_renewal), or `oracle`.
    values, lows, highs: one per node budget of the enclosing FamilyLimits; lows and highs None where the
    curve is a formula. is_bound_here: whether its assumptions hold for a real model.
    """

    name: str
    label: str
    side: Literal["upper", "lower", "asymptotic", "measured"]
    values: tuple[float, ...]
    lows: tuple[float, ...] | None
    highs: tuple[float, ...] | None
    is_bound_here: bool
    assumptions: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class BoundGap:
    """The ergodic renewal bound minus the oracle at one node budget, paired start by start.

    gap: tokens per call, with an interval over prompts; below 0 by sampling error only.
    """

    node_budget: int
    gap: Estimate


@dataclass(frozen=True, slots=True)
class FamilyLimits:
    """All curves of one family at one temperature, over the same node budgets and the same start law.

    over_oracle: the bound minus the oracle, at some node budgets; empty where there is no bound.
    """

    family: str
    temperature: float
    start_law: str
    budgets: tuple[int, ...]
    curves: tuple[LimitCurve, ...]
    oracle_contexts: int
    over_oracle: tuple[BoundGap, ...] = ()


@dataclass(frozen=True, slots=True)
class DecodeInterval:
    """Where the limit of whole decodes lies at one node budget, in tokens per call.

    certified: what a decode that exists reaches. none_exceeds: what no decode with deterministic drafts
    exceeds, wherever its calls start. Each with its one-sided confidence limit, clustered by prompt.
    """

    node_budget: int
    certified: LowerEstimate
    none_exceeds: UpperEstimate


@dataclass(frozen=True, slots=True)
class FamilyDecodes:
    """Those intervals of one family at one temperature, from the log-probabilities of its profiled texts."""

    family: str
    temperature: float
    intervals: tuple[DecodeInterval, ...]


@dataclass(frozen=True, slots=True)
class DecodeCheck:
    """One drafter's decodes at one temperature above 0 beside the decode bound of their own texts."""

    drafter: str
    temperature: float
    check: LimitCheck


@dataclass(frozen=True, slots=True)
class CallTimes:
    """Seconds of a target call, the forward pass alone: nothing of drafting, sampling or verifying.

    sizes: nodes of the tree, root included, increasing. seconds: of each, median over the rounds, at a
    context of `context_tokens`. seconds_per_context_token: what each token of context beyond that adds,
    whatever the size: the least of what was seen.
    """

    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    context_tokens: int
    seconds_per_context_token: float


@dataclass(frozen=True, slots=True)
class SpeedLimit:
    """The most tokens per second that speculation with deterministic drafts allows, on this machine.

    limit: tokens per second that no decode of these prompts exceeds whose calls take `call_times`, even if
    drafting, sampling and verifying took no time; with its upper confidence limit. largest_tree: nodes of the
    largest tree considered. plain_tokens_per_second: the faster plain decoder's. drafters: name of each
    drafter and its tokens per second; both over all decoded prompts at this temperature, prefill excluded.
    """

    temperature: float
    limit: UpperEstimate
    largest_tree: int
    call_times: CallTimes
    plain_tokens_per_second: float
    drafters: dict[str, float]


@dataclass(frozen=True, slots=True)
class DepthAcceptance:
    """How drafts fared at one depth of the trees, over all calls of a run; depth 1: children of the root.

    offered: calls that accepted depth - 1 drafts and whose tree went on there. accepted: those of them that
    accepted a draft at this depth, whether or not a limit of length cut it off afterwards.
    """

    depth: int
    offered: int
    accepted: int


@dataclass(frozen=True, slots=True)
class DecodingSummary:
    """One family, or ALL_FAMILIES, decoded with one drafter, rule, budget and temperature.

    tokens_per_call: emitted tokens over target calls, totals over totals; the target's own token counts.
    tokens_per_second and plain_tokens_per_second: over the same prompts, all rounds, prefill excluded on both
    sides; plain is the faster of the two plain decoders named in plain_decoders. speed_up: from paired runs.
    nodes_per_call: positions scored in a mean call, root included. looping_share: share of emitted tokens
    that only repeat a cycle of the text (0 to 1). branching_calls: calls whose tree had a branch.
    greedy_divergences: prompts (temperature 0) whose text left plain greedy decoding's, by cause.
    seconds_by_phase: wall time of the first round's calls, prefill excluded. acceptance: by depth, from 1 on.
    """

    family: str
    temperature: float
    drafter: str
    rule: str
    node_budget: int
    prompts: int
    tokens: int
    calls: int
    tokens_per_call: Estimate
    nodes_per_call: float
    tokens_per_second: float
    plain_tokens_per_second: float
    plain_decoders: dict[str, float]
    speed_up: SpeedUp
    looping_share: float
    branching_calls: int
    divergences_near_tie: int | None
    divergences_other: int | None
    seconds_by_phase: PhaseSeconds
    acceptance: tuple[DepthAcceptance, ...]


@dataclass(frozen=True, slots=True)
class PromptTotals:
    """One prompt decoded in one setting, the first round: what a comparison of two runs pairs.

    expected_tokens: sum over its calls of the target's path probabilities over the drafted tree.
    limit_tokens: the same for the best tree of node_budget nodes, None where it was not searched.
    log_speed_up: mean over rounds of the logarithm of the speed over plain decoding's.
    """

    prompt_id: str
    family: str
    temperature: float
    drafter: str
    rule: str
    node_budget: int
    tokens: int
    calls: int
    expected_tokens: float
    limit_tokens: float | None
    log_speed_up: float


@dataclass(frozen=True, slots=True)
class CallStartLimit:
    """Drafter and limit of one family, or ALL_FAMILIES, at the same starts: P as in Headline.

    expected_tokens_per_call: mean over the starts of the sum of the target's path probabilities over the
    drafted tree. limit_tokens_per_call: the same for the best tree. share_of_limit: their ratio of totals.
    clusters tells the prompts behind them.
    """

    family: str
    starts: int
    expected_tokens_per_call: Estimate
    limit_tokens_per_call: Estimate
    share_of_limit: Estimate


@dataclass(frozen=True, slots=True)
class Headline:
    """How far the drafter is from the model's limit, both at the call starts of the drafter's own run.

    expected_tokens_per_call: mean over those starts of the sum of the target's path probabilities over the
    drafted tree. limit_tokens_per_call: the same for the best tree of node_budget nodes (the oracle).
    share_of_limit: their ratio of totals. speed_up: over plain decoding, all families together.
    drafter_choice: how the drafter was chosen among those run, in words.
    """

    drafter: str
    drafter_choice: str
    rule: str
    node_budget: int
    temperature: float
    starts: int
    expected_tokens_per_call: Estimate
    measured_tokens_per_call: Estimate
    limit_tokens_per_call: Estimate
    share_of_limit: Estimate
    speed_up: SpeedUp


@dataclass(frozen=True, slots=True)
class SpeedLosses:
    """Where the headline run's speed goes, its first round against speclight's own plain loop.

    setup: how it was decoded, for the sentences.
    """

    waterfall: Waterfall
    setup: RunSetup


@dataclass(frozen=True, slots=True)
class DemoRecord:
    """Everything `speclight demo` measured: the content of report.json and of the HTML report.

    overall_limits: the oracle alone, over the starts of all families. overall: one summary per setting, all
    families together. at_call_starts: the headline's drafter at the starts of its own run's calls, family by
    family. at_uniform_starts: the same drafter at the traced starts, all families first. prompt_totals: one
    row per prompt and setting. load: of the machine while decoding was timed.
    """

    schema: int
    target: str
    headline: Headline
    speed_limit: SpeedLimit
    losses: SpeedLosses
    what_if: WhatIf
    decodes: tuple[FamilyDecodes, ...]
    limit_checks: tuple[DecodeCheck, ...]
    profiles: tuple[FamilyProfile, ...]
    limits: tuple[FamilyLimits, ...]
    overall_limits: FamilyLimits
    at_call_starts: tuple[CallStartLimit, ...]
    at_uniform_starts: tuple[CallStartLimit, ...]
    decodings: tuple[DecodingSummary, ...]
    overall: tuple[DecodingSummary, ...]
    prompt_totals: tuple[PromptTotals, ...]
    examples: tuple[Example, ...]
    load: MachineLoad
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Example:
    """A short sample of decoded text, for the reader to see what the numbers are about. Untrusted text."""

    family: str
    prompt: str
    text: str
    temperature: float
    tokens: int
    calls: int
