"""Predictions held against decoding: the configurations of a plan and plain decoding, timed in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from speclight.advice.configuration import Configuration
from speclight.advice.plan import PLAIN, Plan, Prediction
from speclight.advice.validation_settings import ValidationSettings
from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.generate import Generation, generate_from_ids
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.drafter_choices import DrafterChoice
from speclight.drafting.drafter_names import read_drafter
from speclight.drafting.protocol import Drafter
from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.measure.estimates import Estimate, ratio_of_totals
from speclight.measure.paired_times import SpeedUp, TimedPrompt, TimedRun, interleaved, speed_up
from speclight.measure.trace.record import Trace
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.verification.rule import VerifyRule, default_kind
from speclight.verification.rules import rule_named

WARM_UP_TOKENS = 4


@dataclass(frozen=True, slots=True)
class Validated:
    """One configuration as predicted and as measured.

    speed_up: over plain decoding in the same loop, measured; expected_speed_up: predicted. tokens_per_call:
    measured, accepted drafts and one, whatever a limit cut off; its interval is clustered by prompt.
    """

    prediction: Prediction
    expected_speed_up: Estimate
    speed_up: SpeedUp
    tokens_per_call: Estimate

    @property
    def agreement(self) -> float:
        """Measured speed-up over the predicted one."""
        return self.speed_up.estimate.value / self.expected_speed_up.value

    @property
    def tokens_agree(self) -> bool | None:
        """Whether measured tokens per call lie in their own interval around the prediction."""
        found = self.tokens_per_call
        if found.low is None or found.high is None:
            return None
        return found.low <= self.prediction.tokens_per_call <= found.high


@dataclass(slots=True)
class _Runs:
    """What one decoder decoded: path lengths and calls of each prompt, all rounds."""

    prompts: list[str] = field(default_factory=list)
    tokens: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)


def validate(
    model: CausalLM,
    trace: Trace,
    plan: Plan,
    configurations: Sequence[Prediction],
    settings: ValidationSettings,
    choices: Mapping[str, DrafterChoice] | None = None,
    progress: Progress = silent,
) -> tuple[Validated, ...]:
    """Decode prompts of the trace with each configuration and plainly, in turn, every text from its own seed.

    plan: of single texts. choices: drafters by the trace's names, where a name alone does not say which.
    Raises InvalidInput if the model is not the one traced, or the plan is of batches.
    """
    _check(model, trace, plan)
    decoders = {PLAIN: _decoder(model, PLAIN, trace, {})}
    for prediction in configurations:
        told = prediction.configuration
        decoders[told] = _decoder(model, told, trace, choices or {})
    prompts = _prompts(trace, settings.prompts_per_family)
    runs = {told: _Runs() for told in decoders}
    timed: list[TimedPrompt] = []

    def decode(told: Configuration, number: int) -> TimedRun:
        (name, ids), decoder = prompts[number], decoders[told]
        found = decoder(ids, settings.max_tokens, settings.seed + number)
        runs[told].prompts.append(name)
        runs[told].tokens.append(float(sum(len(call.path) for call in found.calls)))
        runs[told].calls.append(float(len(found.calls)))
        return TimedRun(len(found.token_ids), found.seconds)

    for decoder in decoders.values():  # the first call of all takes longer
        decoder(prompts[0][1], WARM_UP_TOKENS, settings.seed)
    for number, (name, _) in enumerate(prompts):
        made = {str(told): partial(decode, told, number) for told in decoders}
        timed.append(TimedPrompt(name, interleaved(made, settings.rounds, backwards=number % 2 == 1)))
        progress(number + 1, len(prompts), "prompts decoded in turn")
    return tuple(_validated(plan, found, timed, runs[found.configuration]) for found in configurations)


_Decoder = Callable[[Sequence[int], int, int], Generation]


def _decoder(
    model: CausalLM, told: Configuration, trace: Trace, choices: Mapping[str, DrafterChoice]
) -> _Decoder:
    rule = rule_named("target_sample" if told.is_plain else told.rule)
    choice = choices.get(told.drafter) or read_drafter(told.drafter)
    tree = None if told.is_plain else read_tree(told.growth, default_kind(rule))
    drafter = drafter_for(model, choice, rule, trace.sampling, tree)
    settings = DecodeSettings(told.node_budget, sampling=trace.sampling)
    return partial(_decode, model, drafter, rule, settings)


def _decode(
    model: CausalLM,
    drafter: Drafter,
    rule: VerifyRule,
    settings: DecodeSettings,
    ids: Sequence[int],
    max_tokens: int,
    seed: int,
) -> Generation:
    own = replace(settings, max_tokens=max_tokens, seed=seed)
    return generate_from_ids(model, list(ids), drafter, rule, own)


def _prompts(trace: Trace, per_family: int) -> list[tuple[str, tuple[int, ...]]]:
    """Names and token ids of the first prompts of each family, their first turns."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for text in trace.profile.texts:
        of_family = found.setdefault(text.family, {})
        if text.turn == 1 and len(of_family) < per_family:
            of_family.setdefault(text.prompt_id, text.prompt_token_ids)
    return [prompt for of_family in found.values() for prompt in of_family.items()]


def _validated(plan: Plan, found: Prediction, timed: Sequence[TimedPrompt], runs: _Runs) -> Validated:
    return Validated(
        found,
        plan.speed_up(found),
        speed_up(timed, str(found.configuration), [str(PLAIN)]),
        ratio_of_totals(runs.prompts, runs.tokens, runs.calls),
    )


def _check(model: CausalLM, trace: Trace, plan: Plan) -> None:
    if model.loaded.weights_sha256 != trace.weights_sha256:
        raise InvalidInput(
            f"{model.name} has other weights than {trace.target}, which was traced; decode with that one",
            argument="target",
        )
    if plan.batch_size != 1:
        raise InvalidInput(
            f"got a plan for {plan.batch_size} texts at once, expected one for single texts, which is what "
            "is decoded here; time calls with batch size 1 among them",
            argument="batch_sizes",
        )
