"""Why a head accepts so little: its acceptance, and that of every neighbouring reading, on the same texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import ttest_1samp

from speclight.arrays import FloatArray
from speclight.drafting.eagle3.answered_prompts import AnsweredPrompt, AnsweredPrompts
from speclight.drafting.eagle3.loading import Eagle3Head
from speclight.drafting.eagle3.target_matrices import embedding_matrix
from speclight.drafting.eagle3.unrolled import unrolled_states
from speclight.drafting.eagle3.variants import HeadVariant, as_loaded, neighbouring_variants
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM

# Texts are what is tested over: with fewer, no test at the level below has any power.
LEAST_PROMPTS = 6
# The first draft and two fed back: enough for the recurrence to show.
STEPS = 3
# Probability that the doctor reports anything on a head without fault, over all variants together.
SIGNIFICANCE = 1e-3
# Of a head's law that counts as spread over the whole vocabulary: so that tokens it cannot draft cost a lot,
# but not everything, and readings with other draft vocabularies can be compared.
UNIFORM_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Finding:
    """One reading against the head as loaded.

    acceptance: mean over contexts and steps of the sum of min(p, q), the acceptance of one sampled draft at
    temperature 1. gain: nats per token by which its cross-entropy to the target's law is lower. p_value: the
    smaller one of two one-sided paired t-tests over texts, of cross-entropy and of acceptance, multiplied by
    twice the number of readings tried.
    """

    name: str
    remedy: str
    acceptance: float
    gain: float
    p_value: float

    @property
    def is_better(self) -> bool:
        """Whether this reading explains the texts better than the one as loaded."""
        return self.p_value < SIGNIFICANCE


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the doctor has to say of a head: its acceptance as loaded, and how every other reading compares.

    miss_probability: eps, the target's mass outside the draft vocabulary. findings: all readings, best first.
    template_differs: the head's recorded chat template writes prompts otherwise than the target's; None if it
    has none. template_gain: acceptance under the head's less that under the target's, None if they agree. It
    decides nothing: under another template the target writes other texts, which may be easier for any
    drafter.
    """

    acceptance: float
    miss_probability: float
    findings: tuple[Finding, ...]
    template_differs: bool | None
    template_gain: float | None

    @property
    def has_fault(self) -> bool:
        """Whether the verdict names something to mend."""
        differs = bool(self.template_differs) and self.template_gain is not None
        return differs or any(finding.is_better for finding in self.findings)

    @property
    def verdict(self) -> str:
        """One line: what is wrong and how to mend it."""
        better = [finding for finding in self.findings if finding.is_better]
        if better:
            best = better[0]
            return (
                f"wrong convention: with {best.name} the cross-entropy changes by {-best.gain:+.3f} nats and "
                f"acceptance is {best.acceptance:.3f} instead of {self.acceptance:.3f}; {best.remedy}"
            )
        if self.template_differs and self.template_gain is not None:
            return (
                "wrong chat template: the one recorded with the head writes prompts otherwise than the "
                "target's; serve the target with the head's (acceptance, each on texts of its own: "
                f"{self.acceptance + self.template_gain:.3f} under the head's, {self.acceptance:.3f} under "
                "the target's)"
            )
        return (
            f"no fault found: none of {len(self.findings)} other readings was better; acceptance of one "
            f"draft {self.acceptance:.3f}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Scores:
    """[texts] mean acceptance of a sampled draft, and cross-entropy of the draft's law, nats."""

    acceptances: FloatArray
    cross_entropies: FloatArray


def diagnose(
    head: Eagle3Head, target: CausalLM, prompts: Sequence[str], max_tokens: int = 32, seed: int = 0
) -> Diagnosis:
    """Let the target answer the prompts at temperature 1, and try every neighbouring reading of the head.

    prompts: user turns, at least 6 for the test to have any power. Raises InvalidInput for fewer, and what
    `sample_continuations` raises.
    """
    return diagnose_on(head, AnsweredPrompts(target, prompts, max_tokens, seed))


def diagnose_on(head: Eagle3Head, answered: AnsweredPrompts) -> Diagnosis:
    """`diagnose` on answers that other heads may be examined on too."""
    if len(answered.prompts) < LEAST_PROMPTS:
        raise InvalidInput(
            f"got {len(answered.prompts)} prompts, expected at least {LEAST_PROMPTS}: texts are what is "
            "tested over"
        )
    target = answered.target
    template = target.tokenizer.chat_template
    variants = list(neighbouring_variants(head, target.layers, embedding_matrix(target)))
    readings = [as_loaded(head), *variants]
    layers = sorted({layer for reading in readings for layer in reading.network.conventions.layers})
    texts = answered.under(template, layers)
    loaded = _scores(as_loaded(head), texts)
    findings = [_finding(variant, _scores(variant, texts), loaded, len(variants)) for variant in variants]
    differs, gain = None, None
    if head.chat_template is not None:
        differs = answered.questions(head.chat_template) != answered.questions(template)
        if differs:
            under_recorded = _scores(as_loaded(head), answered.under(head.chat_template, layers))
            gain = float(under_recorded.acceptances.mean() - loaded.acceptances.mean())
    covered = torch.from_numpy(head.target_ids)
    return Diagnosis(
        acceptance=float(loaded.acceptances.mean()),
        miss_probability=float(
            np.mean([1.0 - float(text.laws[:, covered].sum(dim=1).mean()) for text in texts])
        ),
        findings=tuple(sorted(findings, key=lambda finding: -finding.acceptance)),
        template_differs=differs,
        template_gain=gain,
    )


@torch.inference_mode()
def _scores(variant: HeadVariant, texts: list[AnsweredPrompt]) -> _Scores:
    """Over the answer's positions and the unrolled steps, mean by text."""
    network = variant.network
    rows = torch.from_numpy(variant.target_ids)
    weight = network.embed_tokens.weight  # of the states' type, which matrices may not be
    acceptances: list[float] = []
    cross_entropies: list[float] = []
    for text in texts:
        features = torch.cat([text.states[layer] for layer in network.conventions.layers], dim=-1)[:-1]
        tokens = torch.tensor([text.tokens[1:]], device=weight.device)
        covered = text.laws[:, rows]
        misses = 1.0 - covered.sum(dim=1)
        uniform = UNIFORM_SHARE / text.laws.shape[1]
        overlaps: list[torch.Tensor] = []
        losses: list[torch.Tensor] = []
        for step, states in enumerate(unrolled_states(network, tokens, features.to(weight)[None], STEPS)):
            first = max(text.start - 1, step)
            draft = torch.softmax(network.logits(states[0, first:]).float(), dim=-1).cpu()
            # A state at position p is about the token after p + 1.
            after = first + 1 - text.start
            overlaps.append(torch.minimum(draft, covered[after:]).sum(dim=1))
            hits = (covered[after:] * torch.log((1.0 - UNIFORM_SHARE) * draft + uniform)).sum(dim=1)
            losses.append(-hits - misses[after:] * math.log(uniform))
        acceptances.append(float(torch.cat(overlaps).mean()))
        cross_entropies.append(float(torch.cat(losses).mean()))
    return _Scores(np.array(acceptances), np.array(cross_entropies))


def _finding(variant: HeadVariant, scores: _Scores, loaded: _Scores, variants: int) -> Finding:
    gains = loaded.cross_entropies - scores.cross_entropies
    # Some faults show in one score only; two tests on each reading, so twice as many in all.
    p_value = min(_p_value(gains), _p_value(scores.acceptances - loaded.acceptances))
    return Finding(
        variant.name,
        variant.remedy,
        float(scores.acceptances.mean()),
        float(gains.mean()),
        min(1.0, 2 * p_value * variants),
    )


def _p_value(gains: FloatArray) -> float:
    """One-sided paired t-test that the mean gain over texts is above 0."""
    if gains.std() == 0.0:  # a reading that changes nothing has no spread to test with
        return 1.0
    test: Any = ttest_1samp(gains, 0.0, alternative="greater")  # scipy's stub hides the p-value
    return float(test.pvalue)
