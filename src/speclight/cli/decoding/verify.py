"""`speclight verify`: whether a drafter and a rule leave the target's law of texts as it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.checks import check_text
from speclight.cli.engines.verify_engine import EngineVerifyOptions, check_endpoint, verify_engine
from speclight.cli.flags import spelled
from speclight.cli.options import (
    DraftingOptions,
    JsonFlag,
    PromptOptions,
    TargetOptions,
    check_target,
    load_target,
    read_drafting,
    read_prompt_options,
)
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.decoding.losslessness import GreedyTest, LoopTest, Setup
    from speclight.decoding.string_law import StringTest
    from speclight.measure.prompts import Prompt
    from speclight.models.causal_lm import CausalLM

# Exit code when a test fails: the input was fine, the decoder is not lossless.
EXIT_NOT_LOSSLESS = 1
# Words come back, so that prompt lookup drafts, and several continuations are likely.
PROMPT = "The cat sat on the mat. The dog sat on the rug. The cat"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """Options of `speclight verify`."""

    prompt: str = PROMPT
    """Text whose continuation is sampled; taken bare, without the chat template."""
    temperature: float = 1.0
    """Temperature of the sampled strings; above 0, or, of a server's texts, 0 for greedy ones."""
    strings: int = 2000
    """Strings of 3 tokens through the real loop; 0: none, where the target's rounding does not allow it."""
    rule_strings: int = 400_000
    """Strings of 3 tokens through the rule alone, on memorised laws."""
    greedy_prompts: int = 5
    """Prompts decoded at temperature 0, beside plain decoding."""
    greedy_tokens: int = 32
    """Tokens of each of them."""
    node_budget: int = 8
    """Node budget P: positions scored in one target call, root included; a ceiling."""
    draft_ahead: bool = False
    """Test the loop with the drafter going on in a second thread, as `speclight generate --draft-ahead`."""
    seed: int = 0
    """Seed of all randomness."""
    endpoint: EngineVerifyOptions = field(default_factory=EngineVerifyOptions)
    drafting: DraftingOptions = field(default_factory=DraftingOptions)
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def verify(options: VerifyOptions = VerifyOptions()) -> None:
    """Test whether a drafter and a rule leave the target's law of texts exactly as it is.

    At temperature 0 against plain decoding over Transformers' own cache, where a difference is either a near
    tie or a bug; of prompts with several turns, the first is answered. Above, strings of 3 tokens under top-k
    4 against their exact law, through the real loop and through the rule alone. Exits with 1 if a test fails.

        speclight verify --drafter eagle3 --rule traversal --kind without_replacement

    With --engine or --texts the decoder is an inference server: do its tokens follow the laws that it states,
    or those of --reference? At temperature 0: is each a likeliest one? Only first turns are asked.

        speclight verify --engine http://127.0.0.1:8000 --engine-tokens 2000
    """
    if options.endpoint.is_asked:
        _verify_endpoint(options)
        return
    _check(options)
    check_target(options.target)
    drafting = read_drafting(options.drafting)
    prompts = _spread(read_prompt_options(options.prompts), options.greedy_prompts)

    from speclight.decoding.losslessness import Setup

    setup = Setup(drafting.drafter, drafting.tree, drafting.rule, options.node_budget, options.draft_ahead)
    with command_output(options.json) as output:
        target = load_target(options.target)
        greedy, loop, alone = _tests(options, target, setup, prompts)
        document = _document(options, target.name, greedy, loop, alone)
        if options.json:
            output.write_json(document)
        else:
            output.show(_table(options, target.name, greedy, loop, alone), f"verdict: {document['verdict']}")
    if document["verdict"] == NOT_LOSSLESS:
        raise SystemExit(EXIT_NOT_LOSSLESS)


def _tests(
    options: VerifyOptions, target: CausalLM, setup: Setup, prompts: list[Prompt]
) -> tuple[GreedyTest, LoopTest | None, StringTest | None]:
    from speclight.decoding.losslessness import greedy_test, loop_test, rule_test
    from speclight.decoding.string_law import StringLaw
    from speclight.models.prompting import prompt_token_ids

    ids = [_prompt_ids(target, prompt) for prompt in prompts]
    prompt_ids = prompt_token_ids(target, options.prompt, raw=True)
    law = None
    if setup.rule.name != "greedy":  # which has no law above temperature 0
        law = StringLaw(target, prompt_ids, options.temperature)
        if options.strings:
            law.check_told_apart()  # before minutes of tests
    with progress_bars() as progress:
        greedy = greedy_test(target, setup, ids, options.greedy_tokens, progress)
        if law is None:
            return greedy, None, None
        loop = None
        if options.strings:
            loop = loop_test(target, setup, prompt_ids, law, options.strings, options.seed, progress)
        alone = rule_test(target, setup, prompt_ids, law, options.rule_strings, options.seed, progress)
    return greedy, loop, alone


NO_FAULT, NOT_LOSSLESS = "no fault found", "not lossless"


def _prompt_ids(target: CausalLM, prompt: Prompt) -> list[int]:
    from speclight.models.prompting import prompt_token_ids

    return prompt_token_ids(target, prompt.turns[0], raw=target.tokenizer.chat_template is None)


def _verify_endpoint(options: VerifyOptions) -> None:
    endpoint = options.endpoint
    check_endpoint(endpoint)
    prompts = read_prompt_options(options.prompts)
    with command_output(options.json) as output:
        reference = None
        if endpoint.reference is not None:
            reference = load_target(replace(options.target, target=endpoint.reference))
        passed = verify_engine(
            endpoint, prompts, options.temperature, options.seed, reference, output, options.json
        )
    if not passed:
        raise SystemExit(EXIT_NOT_LOSSLESS)


def _check(options: VerifyOptions) -> None:
    check_text("the prompt", options.prompt)
    counts = {"strings": 0, "rule_strings": 1, "greedy_prompts": 1, "greedy_tokens": 1, "node_budget": 1}
    for name, least in counts.items():
        if getattr(options, name) < least:
            raise InvalidInput(f"--{spelled(name)} must be at least {least}, got {getattr(options, name)}")
    if not options.temperature > 0.0:
        raise InvalidInput(
            f"--temperature must be above 0, got {options.temperature}; 0 is always tested too"
        )
    if options.seed < 0:
        raise InvalidInput(f"--seed must be at least 0, got {options.seed}")


def _spread(items: tuple[Prompt, ...], count: int) -> list[Prompt]:
    """`count` of them, evenly spread over all families; all if there are fewer."""
    count = min(count, len(items))
    return [items[place * len(items) // count] for place in range(count)]


def _is_sound(greedy: GreedyTest, loop: LoopTest | None, alone: StringTest | None) -> bool:
    tests = [test for test in (loop.strings if loop else None, alone) if test is not None]
    return greedy.bugs == 0 and all(test.is_passed for test in tests)


def _table(
    options: VerifyOptions, target: str, greedy: GreedyTest, loop: LoopTest | None, alone: StringTest | None
) -> Table:
    from rich.table import Table

    from speclight.decoding.divergence import STEPS_FORGIVEN
    from speclight.decoding.string_law import FALSE_ALARM, POWER

    drafting = options.drafting
    title = f"{target}: drafter {drafting.drafter}, rule {drafting.rule}, P = {options.node_budget}"
    table = Table(title=title)
    for column in ("test", "passed", "result", "what it can see"):
        table.add_column(column)
    table.add_row(
        "temperature 0, beside plain decoding",
        "no" if greedy.bugs else "yes",
        f"{greedy.prompts} texts of first turns, {greedy.tokens} tokens in {greedy.calls} calls: "
        f"{greedy.near_ties} differ at a near tie, {greedy.bugs} by a bug",
        f"any wrong token more than {greedy.near_tie_logits:g} logits below the best; in 16 bits, more than "
        f"{STEPS_FORGIVEN} steps of the type",
    )
    rows = [("strings through the loop", loop.strings)] if loop else []
    rows += [("strings through the rule alone", alone)] if alone else []
    for name, test in rows:
        seen = f", {loop.accepted_drafts} drafts accepted" if loop and test is loop.strings else ""
        table.add_row(
            name,
            "yes" if test.is_passed else "no",
            f"{test.strings} strings{seen}; chi-square {test.chi_square:.1f} on {test.cells} cells, "
            f"p = {test.p_value:.2g}; {test.impossible} impossible",
            f"any total variation of {test.detectable:.4f} or more with probability {POWER:g}, false alarm "
            f"{FALSE_ALARM:g}",
        )
    return table


def _document(
    options: VerifyOptions, target: str, greedy: GreedyTest, loop: LoopTest | None, alone: StringTest | None
) -> dict[str, object]:
    from speclight.decoding.string_law import FALSE_ALARM, POWER

    return {
        "target": target,
        **asdict(options.drafting),
        "node_budget": options.node_budget,
        "temperature": options.temperature,
        "seed": options.seed,
        "verdict": NO_FAULT if _is_sound(greedy, loop, alone) else NOT_LOSSLESS,
        "greedy": {
            "prompts": greedy.prompts,
            "tokens": greedy.tokens,
            "calls": greedy.calls,
            "near_ties": greedy.near_ties,
            "bugs": greedy.bugs,
            "margins": [divergence.margin for divergence in greedy.divergences],
            "near_tie_logits": greedy.near_tie_logits,
            "roundings": [divergence.rounding for divergence in greedy.divergences],
        },
        "loop": None
        if loop is None
        else {
            **_test(loop.strings),
            "calls": loop.calls,
            "accepted_drafts": loop.accepted_drafts,
        },
        "rule_alone": None if alone is None else _test(alone),
        "false_alarm": FALSE_ALARM,
        "power": POWER,
    }


def _test(test: StringTest) -> dict[str, object]:
    return {**asdict(test), "passed": test.is_passed}
