"""`speclight generate`: decode prompts speculatively, and show how many tokens each call gave."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.checks import check_text, check_whole_numbers
from speclight.cli.options import (
    DraftingOptions,
    JsonFlag,
    TargetOptions,
    check_target,
    load_target,
    read_drafting,
)
from speclight.cli.output import Output, command_output
from speclight.cli.progress import progress_bars
from speclight.decoding.settings import AUTO, DecodeSettings
from speclight.errors import InvalidInput
from speclight.progress import in_steps

if TYPE_CHECKING:
    from speclight.decoding.call_trace import CallTrace
    from speclight.decoding.generate import Generation
    from speclight.measure.rank_run import RankRun
    from speclight.models.causal_lm import CausalLM


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """Options of `speclight generate`."""

    prompt: tuple[str, ...] = ()
    """What to answer, as one user turn of the model's chat template; may be given several times."""
    prompts_file: Path | None = None
    """Text file with one more prompt on each line; empty lines are left out."""
    batch_size: int = 8
    """Texts decoded at a time if there are several prompts, one target call for all of them."""
    raw: Annotated[bool, Parameter(negative="")] = False
    """Continue the bare prompts instead, without the chat template."""
    decoding: DecodeSettings = field(default_factory=DecodeSettings)
    drafting: DraftingOptions = field(default_factory=DraftingOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def generate(options: GenerateOptions = GenerateOptions()) -> None:
    """Decode prompts speculatively, with exactly the target's own law of texts.

    The text of a single prompt appears as it is decoded, those of several as each is done; and then how many
    tokens each target call gave.

        speclight generate --prompt "Explain tides." --drafter eagle3 --temperature 0 --budget 16
    """
    # Checked before anything heavy is imported, let alone the model loaded.
    check_whole_numbers(options, "batch_size")
    prompts = _prompts(options)
    check_target(options.target)
    drafting = read_drafting(options.drafting)

    from speclight.decoding.fitting_drafters import drafters_for
    from speclight.decoding.generate import generate_batch_from_ids
    from speclight.models.prompting import prompt_token_ids

    settings = options.decoding
    rule = drafting.rule
    with command_output(options.json) as output:
        target = load_target(options.target)
        with progress_bars() as progress:
            waiting = in_steps(prompts, "counting the prompts' tokens", progress)
            ids = [prompt_token_ids(target, prompt, raw=options.raw) for prompt in waiting]
        sampling, texts = settings.sampling, len(prompts)
        drafters = drafters_for(target, drafting.drafter, rule, sampling, drafting.tree, texts)
        shown = TextStream(target, output) if len(prompts) == 1 else FinishedTexts(target, output, prompts)
        made = generate_batch_from_ids(target, ids, drafters, rule, settings, options.batch_size, shown.add)
        shown.finish()
        ranks = _ranks(target, settings, made) if settings.record_ranks else None
        ahead = _ahead(made) if settings.draft_ahead else None
        if options.json:
            document = _document(options, target, prompts, made)
            parts = {"ranks": ranks, "draft_ahead": ahead}
            output.write_json(document | {name: asdict(part) for name, part in parts.items() if part})
        else:
            told = [_ahead_summary(ahead)] if ahead else []
            output.show(_summary(made), *told, *([] if ranks is None else [_rank_summary(ranks)]))


def _prompts(options: GenerateOptions) -> tuple[str, ...]:
    from speclight.measure.prompts import read_prompt_lines

    lines = () if options.prompts_file is None else read_prompt_lines(options.prompts_file)
    prompts = (*options.prompt, *lines)
    for prompt in prompts:
        check_text("the prompt", prompt)
    if not prompts:
        raise InvalidInput("got no prompt, expected at least one; give --prompt TEXT or --prompts-file FILE")
    return prompts


class TextStream:
    """Shows the text of a generation as its calls come in, whole characters only."""

    def __init__(self, target: CausalLM, output: Output) -> None:
        from speclight.decoding.text_pieces import TextPieces

        self._pieces = TextPieces(target)
        self._output = output

    def add(self, call: CallTrace) -> None:
        """Show what one call added."""
        self._output.stream(self._pieces.add(call.emitted_tokens))

    def finish(self) -> None:
        """Show what was held back, and end the line."""
        self._output.stream(self._pieces.finish() + "\n")


class FinishedTexts:
    """Shows the texts of several prompts, each when its last call has come in, under its prompt."""

    def __init__(self, target: CausalLM, output: Output, prompts: tuple[str, ...]) -> None:
        self._target, self._output, self._prompts = target, output, prompts
        self._tokens: list[list[int]] = [[] for _ in prompts]

    def add(self, call: CallTrace) -> None:
        """Take in what one call added to one text."""
        number = call.text_number
        self._tokens[number] += call.emitted_tokens
        if call.finish_reason is not None:
            text = self._target.text_of(self._tokens[number])
            self._output.show(f"[{number}] {self._prompts[number]}\n{text}\n")

    def finish(self) -> None:
        """Nothing is held back."""


def _summary(made: list[Generation]) -> str:
    tokens = sum(len(one.token_ids) for one in made)
    calls = sum(len(one.calls) for one in made)
    speed = tokens / sum(one.seconds for one in made)
    prefill = sum(one.prefill_seconds for one in made)
    each = "" if len(made) == 1 else f" of {len(made)} texts, several of which share one"
    prompts = "the prompt" if len(made) == 1 else "the prompts"
    return (
        f"\n{tokens} tokens in {calls} target calls{each}: {tokens / calls:.2f} tokens per call, the "
        f"target's own token counted; {speed:.1f} tokens per second after {prefill:.2f} s for {prompts}"
    )


@dataclass(frozen=True, slots=True)
class AheadTotals:
    """Drafting beside the target's calls and while the target waited, in nodes that a drafter looked at.

    used: of those looked at ahead, the ones that drafts went on from. seconds: of looking ahead.
    """

    nodes: int
    used: int
    nodes_waited_for: int
    seconds: float


def _ahead(made: list[Generation]) -> AheadTotals:
    calls = [call for one in made for call in one.calls]
    ahead = [call.drafted_ahead for call in calls if call.drafted_ahead is not None]
    return AheadTotals(
        nodes=sum(one.cost.expanded_nodes for one in ahead),
        used=sum(one.used for one in ahead),
        nodes_waited_for=sum(call.draft_cost.expanded_nodes for call in calls),
        seconds=sum(call.ahead_seconds for call in calls),
    )


def _ahead_summary(ahead: AheadTotals) -> str:
    return (
        f"drafting ahead: {ahead.nodes} nodes looked at in {ahead.seconds:.2f} s beside the target's calls, "
        f"{ahead.used} of them used; {ahead.nodes_waited_for} looked at while the target waited"
    )


def _ranks(target: CausalLM, settings: DecodeSettings, made: list[Generation]) -> RankRun:
    from speclight.measure.rank_run import rank_run

    calls = [call for one in made for call in one.calls]
    largest = max(len(call.tree) for call in calls)
    budget = largest if settings.node_budget == AUTO else settings.node_budget
    return rank_run(calls, budget, target.vocabulary_size)


def _rank_summary(ranks: RankRun) -> str:
    entropy = ranks.entropy
    return (
        f"ranks of the race at {ranks.observed} tokens: P(R = 1) {ranks.law[0]:.3f}, never proposable "
        f"{ranks.unproposable:.3f}, H[R] {entropy.miller_madow:.2f} nats (plug-in {entropy.plug_in:.2f} ± "
        f"{entropy.standard_error:.2f}), D_KL {ranks.divergence:.2f} nats; such ranks, if independent, allow "
        f"at most {ranks.bound.value:.2f} tokens per call with any static tree of P nodes"
    )


def _document(
    options: GenerateOptions, target: CausalLM, prompts: tuple[str, ...], made: list[Generation]
) -> dict[str, object]:
    decoding = options.decoding
    document: dict[str, object] = {
        "target": target.name,
        "drafter": options.drafting.drafter,
        "rule": options.drafting.rule,
        "node_budget": decoding.node_budget,
        "tree": options.drafting.tree,
        "kind": options.drafting.kind,
        "temperature": decoding.sampling.temperature,
        "top_k": decoding.sampling.top_k,
        "top_p": decoding.sampling.top_p,
        "repetition_penalty": decoding.repetition_penalty,
        "seed": decoding.seed,
    }
    if len(made) == 1:
        return document | _text_document(made[0])
    texts = [
        {"prompt": prompt, "seed": decoding.seed + number, **_text_document(one)}
        for number, (prompt, one) in enumerate(zip(prompts, made, strict=True))
    ]
    return document | {"batch_size": options.batch_size, "texts": texts}


def _text_document(generation: Generation) -> dict[str, object]:
    return {
        "text": generation.text,
        "token_ids": generation.token_ids,
        "finish_reason": generation.finish_reason,
        "calls": len(generation.calls),
        "tokens_per_call": generation.tokens_per_call,
        "tokens_by_call": [call.tokens_emitted for call in generation.calls],
        "seconds": generation.seconds,
        "prefill_seconds": generation.prefill_seconds,
    }
