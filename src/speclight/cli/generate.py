"""`speclight generate`: decode one prompt speculatively, and show how many tokens each call gave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, TargetOptions, load_target
from speclight.cli.output import Output, command_output

if TYPE_CHECKING:
    from speclight.decoding.call_trace import CallTrace
    from speclight.decoding.generate import Generation
    from speclight.models.causal_lm import CausalLM

# What a tokenizer puts in place of bytes that are no character yet: the next token may complete it.
INCOMPLETE = "\N{REPLACEMENT CHARACTER}"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateOptions:
    """Options of `speclight generate`."""

    prompt: str
    """What to answer, as one user turn of the model's chat template."""
    raw: Annotated[bool, Parameter(negative="")] = False
    """Continue the bare prompt instead, without the chat template."""
    drafter: str = "ngram"
    """Who drafts: none, which is plain decoding, or ngram, which looks the text's own past up."""
    rule: str = "target_sample"
    """How drafts are verified: target_sample at any temperature, or greedy at temperature 0."""
    budget: int = 8
    """Node budget P: positions scored in one target call, root included; a ceiling."""
    temperature: float = 1.0
    """Temperature of the law that is sampled; 0 is greedy decoding."""
    top_k: int | None = None
    """Keep this many of the most probable tokens."""
    top_p: float | None = None
    """Keep the smallest set of most probable tokens with this much probability."""
    max_tokens: int = 128
    """Tokens to emit at the most; an end of text stops earlier and counts as one."""
    seed: int = 0
    """Seed of all randomness."""
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def generate(options: GenerateOptions) -> None:
    """Decode one prompt speculatively, with exactly the target's own law of texts.

    The text appears as it is decoded, and then how many tokens each target call gave.
    """
    from speclight.decoding.decode import DecodeSettings
    from speclight.decoding.generate import generate_from_ids
    from speclight.drafting.drafters import drafter_named
    from speclight.models.prompting import prompt_token_ids
    from speclight.models.sampling import SamplingSettings
    from speclight.verification.rules import rule_named

    # Checked before the model is loaded, which takes seconds.
    settings = DecodeSettings(
        node_budget=options.budget,
        max_tokens=options.max_tokens,
        seed=options.seed,
        sampling=SamplingSettings(options.temperature, options.top_k, options.top_p),
    )
    rule = rule_named(options.rule)
    with command_output(options.json) as output:
        target = load_target(options.target)
        prompt_ids = prompt_token_ids(target, options.prompt, raw=options.raw)
        drafter = drafter_named(options.drafter, target)
        stream = TextStream(target, output)
        generation = generate_from_ids(target, prompt_ids, drafter, rule, settings, stream.add)
        stream.finish(generation.text)
        if options.json:
            output.write_json(_document(options, target, generation))
        else:
            output.show(_summary(generation))


class TextStream:
    """Shows the text of a generation as its calls come in, whole characters only."""

    def __init__(self, target: CausalLM, output: Output) -> None:
        self._tokenizer = target.tokenizer
        self._output = output
        self._token_ids: list[int] = []
        self._shown = ""

    def add(self, call: CallTrace) -> None:
        """Show what one call added. All ids are decoded anew: a token's text depends on those before it."""
        self._token_ids += call.emitted_tokens
        text = self._tokenizer.decode(self._token_ids, skip_special_tokens=True)
        assert isinstance(text, str)  # one sequence gives one string
        self._show(text.rstrip(INCOMPLETE))

    def finish(self, text: str) -> None:
        """Show what was held back, and end the line."""
        self._show(text)
        self._output.stream("\n")

    def _show(self, text: str) -> None:
        if len(text) > len(self._shown):  # some tokenizers take a space back: what is shown stays
            self._output.stream(text[len(self._shown) :])
            self._shown = text


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
        "drafter": options.drafter,
        "rule": options.rule,
        "budget": options.budget,
        "temperature": options.temperature,
        "top_k": options.top_k,
        "top_p": options.top_p,
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
