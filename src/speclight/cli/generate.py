"""`speclight generate`: decode one prompt speculatively, and show how many tokens each call gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.cli.drafting_options import DraftingOptions, drafter_settings
from speclight.cli.options import JsonFlag, TargetOptions, load_target
from speclight.cli.output import Output, command_output

if TYPE_CHECKING:
    from speclight.decoding.call_trace import CallTrace
    from speclight.decoding.generate import Generation
    from speclight.models.causal_lm import CausalLM


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """Options of `speclight generate`."""

    prompt: str
    """What to answer, as one user turn of the model's chat template."""
    raw: Annotated[bool, Parameter(negative="")] = False
    """Continue the bare prompt instead, without the chat template."""
    temperature: float = 1.0
    """Temperature of the law that is sampled; 0 is greedy decoding."""
    top_k: int | None = None
    """Keep this many of the most probable tokens."""
    top_p: float | None = None
    """Keep the smallest set of most probable tokens with this much probability."""
    repetition_penalty: float = 1.0
    """Divides the odds of tokens the text holds already; 1 is none."""
    stop: tuple[str, ...] = ()
    """Strings that end the text, the one met included."""
    max_tokens: int = 128
    """Tokens to emit at the most; an end of text stops earlier and counts as one."""
    seed: int = 0
    """Seed of all randomness."""
    drafting: DraftingOptions = field(default_factory=DraftingOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def generate(options: GenerateOptions) -> None:
    """Decode one prompt speculatively, with exactly the target's own law of texts.

    The text appears as it is decoded, and then how many tokens each target call gave.
    """
    from speclight.decoding.generate import drafter_for, generate_from_ids
    from speclight.decoding.settings import DecodeSettings
    from speclight.models.prompting import prompt_token_ids
    from speclight.models.sampling import SamplingSettings
    from speclight.verification.rules import rule_named

    # Checked before the model is loaded, which takes seconds.
    settings = DecodeSettings(
        node_budget=options.drafting.budget,
        max_tokens=options.max_tokens,
        seed=options.seed,
        sampling=SamplingSettings(options.temperature, options.top_k, options.top_p),
        repetition_penalty=options.repetition_penalty,
        stop_strings=options.stop,
    )
    rule = rule_named(options.drafting.rule)
    drafting = drafter_settings(options.drafting, rule)
    with command_output(options.json) as output:
        target = load_target(options.target)
        prompt_ids = prompt_token_ids(target, options.prompt, raw=options.raw)
        drafter = drafter_for(target, options.drafting.drafter, rule, settings.sampling, drafting)
        stream = TextStream(target, output)
        generation = generate_from_ids(target, prompt_ids, drafter, rule, settings, stream.add)
        stream.finish()
        if options.json:
            output.write_json(_document(options, target, generation))
        else:
            output.show(_summary(generation))


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


def _summary(generation: Generation) -> str:
    tokens, calls = len(generation.token_ids), len(generation.calls)
    return (
        f"\n{tokens} tokens in {calls} target calls: {generation.tokens_per_call:.2f} tokens per call, the "
        f"target's own token counted; {tokens / generation.seconds:.1f} tokens per second after "
        f"{generation.prefill_seconds:.2f} s for the prompt"
    )


def _document(options: GenerateOptions, target: CausalLM, generation: Generation) -> dict[str, object]:
    return {
        "target": target.name,
        "drafter": options.drafting.drafter,
        "rule": options.drafting.rule,
        "budget": options.drafting.budget,
        "tree": options.drafting.tree,
        "kind": options.drafting.kind,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
        "repetition_penalty": options.repetition_penalty,
        "seed": options.seed,
        "text": generation.text,
        "token_ids": generation.token_ids,
        "finish_reason": generation.finish_reason,
        "calls": len(generation.calls),
        "tokens_per_call": generation.tokens_per_call,
        "tokens_by_call": [call.tokens_emitted for call in generation.calls],
        "seconds": generation.seconds,
        "prefill_seconds": generation.prefill_seconds,
    }
