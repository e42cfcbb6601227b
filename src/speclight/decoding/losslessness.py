"""The losslessness verdict on a target, a drafter and a rule together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from speclight.decoding.decode import decode
from speclight.decoding.divergence import Divergence, first_divergence, near_tie_margin, plain_greedy
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.rule_replay import RuleReplay
from speclight.decoding.settings import DecodeSettings
from speclight.decoding.string_law import LENGTH, StringLaw, StringTest, string_test
from speclight.drafting.drafter_choices import DrafterChoice, Plain
from speclight.drafting.drafters import law_source
from speclight.drafting.tree_choices import TreeChoice
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.models.scored_text import ScoredText
from speclight.progress import Progress, silent
from speclight.verification.rule import VerifyRule

# (steps done, steps in all, what is being done)
# Replays between two reports of progress.
REPLAYS_A_STEP = 2000


@dataclass(frozen=True, slots=True)
class Setup:
    """What is put to the test: a drafter, its tree, a rule and a node budget.

    draft_ahead: see DecodeSettings.
    """

    drafter: DrafterChoice
    tree: TreeChoice
    rule: VerifyRule
    node_budget: int
    draft_ahead: bool = False


@dataclass(frozen=True, slots=True)
class GreedyTest:
    """Greedy texts beside plain greedy decoding's, one for each prompt.

    tokens, calls: of the texts. divergences: where texts first left the plain ones. near_tie_logits: the
    margin that rounding explains whatever the logits' size.
    """

    prompts: int
    tokens: int
    calls: int
    divergences: tuple[Divergence, ...]
    near_tie_logits: float

    @property
    def near_ties(self) -> int:
        """Divergences that rounding explains."""
        return sum(divergence.is_near_tie for divergence in self.divergences)

    @property
    def bugs(self) -> int:
        """Divergences that it does not."""
        return len(self.divergences) - self.near_ties


@dataclass(frozen=True, slots=True)
class LoopTest:
    """Strings through the real loop. accepted_drafts: in all of them; without any, little was tested."""

    strings: StringTest
    calls: int
    accepted_drafts: int


def greedy_test(
    target: CausalLM,
    setup: Setup,
    prompts: Sequence[list[int]],
    max_tokens: int,
    progress: Progress = silent,
) -> GreedyTest:
    """Decode prompts at temperature 0 and compare with plain decoding over Transformers' own cache."""
    settings = DecodeSettings(
        setup.node_budget, max_tokens, sampling=SamplingSettings(0.0), draft_ahead=setup.draft_ahead
    )
    divergences: list[Divergence] = []
    tokens = calls = 0
    for number, prompt_ids in enumerate(prompts, start=1):
        drafter = drafter_for(target, setup.drafter, setup.rule, settings.sampling, setup.tree)
        traces = list(decode(target, drafter, setup.rule, prompt_ids, settings))
        emitted = [token for trace in traces for token in trace.emitted_tokens]
        found = first_divergence(target, prompt_ids, emitted, plain_greedy(target, prompt_ids, max_tokens))
        divergences += [] if found is None else [found]
        tokens, calls = tokens + len(emitted), calls + len(traces)
        progress(number, len(prompts), "greedy texts beside plain decoding")
    return GreedyTest(len(prompts), tokens, calls, tuple(divergences), near_tie_margin(target, 0.0))


def loop_test(
    target: CausalLM,
    setup: Setup,
    prompt_ids: list[int],
    law: StringLaw,
    strings: int,
    seed: int = 0,
    progress: Progress = silent,
) -> LoopTest:
    """Decode the prompt's first LENGTH tokens many times over, each with a seed of its own; law: its law.

    Raises InvalidInput where rounding decides which strings are possible.
    """
    law.check_told_apart()
    drafter = drafter_for(target, setup.drafter, setup.rule, law.sampling, setup.tree)
    text = ScoredText(target, prompt_ids, drafter.hidden_layers)
    counts: Counter[tuple[int, ...]] = Counter()
    calls = accepted = 0
    settings = DecodeSettings(setup.node_budget, LENGTH, sampling=law.sampling, draft_ahead=setup.draft_ahead)
    for number in range(1, strings + 1):
        own = replace(settings, seed=seed + number)
        traces = list(decode(target, drafter, setup.rule, prompt_ids, own, text=text))
        counts[tuple(token for trace in traces for token in trace.emitted_tokens)] += 1
        calls += len(traces)
        accepted += sum(trace.tokens_emitted - 1 for trace in traces)
        progress(number, strings, "strings through the loop")
    return LoopTest(string_test(counts, law.strings), calls, accepted)


def rule_test(
    target: CausalLM,
    setup: Setup,
    prompt_ids: list[int],
    law: StringLaw,
    strings: int,
    seed: int = 0,
    progress: Progress = silent,
) -> StringTest:
    """The same strings by the rule alone, on memorised laws of target and drafter."""
    source = (
        None
        if isinstance(setup.drafter, Plain)
        else law_source(setup.drafter, target, law.sampling, setup.tree.kind)
    )
    replay = RuleReplay(target, prompt_ids, law, setup.rule, setup.node_budget, source, setup.tree)
    counts: Counter[tuple[int, ...]] = Counter()
    for number in range(1, strings + 1):
        counts[replay.string(seed + number)] += 1
        if number % REPLAYS_A_STEP == 0 or number == strings:
            progress(number, strings, "strings through the rule alone")
    return string_test(counts, law.strings)
