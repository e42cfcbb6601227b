"""What an endpoint returns and means, found by asking it: what its answers can be trusted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from speclight.engines.client import EngineClient
from speclight.engines.completion import CompletionRequest
from speclight.engines.dialects.answers import UNSTATED
from speclight.engines.dialects.dialect import WHOLE_LAW, HttpRequest
from speclight.engines.stated_law import Law, stated_law
from speclight.errors import EngineError

Prompt = tuple[int, ...] | tuple[dict[str, str], ...]
Rendering = Callable[[list[dict[str, str]]], list[int]]
QUESTION = "Repeat this line three times: red, green, blue, red, green, blue."
WARM = 0.6
TOPS_TRIED = (1, 5, 20, 50, 100, 500)
ENOUGH_TOP = 20
REPEATED_TOKENS = 48
SEED = 20
SEEDED_TOKENS = 24
UNTOLD = "not told: equal seeds give different texts"
# What leaves a law as it is, by llama.cpp's names.
NEUTRAL = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repeat_penalty": 1.0,
}


class Trust(StrEnum):
    """How far a finding lets the engine's answers be used."""

    GOOD = "good"
    LIMITED = "limited"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing asked of an endpoint. meaning: what it allows. remedy: what to change, where anything
    helps.
    """

    name: str
    found: str
    trust: Trust
    meaning: str
    remedy: str | None = None


def check_engine(client: EngineClient, prompt: Prompt) -> list[Finding]:
    """Ask an endpoint what it gives and of which law, on one short prompt (some twenty requests).

    prompt: token ids, or a conversation for engines that take none. Raises EngineError if it does not answer
    at all; whatever else it refuses is a finding.
    """
    client.complete(CompletionRequest(prompt, 1))
    questions = (
        _tokens,
        _law_at_temperature,
        _defaults,
        _largest_top,
        _drafted_tokens,
        _seeds,
        _several,
    )
    return [finding for question in questions for finding in question(client, prompt)]


def example_prompt(client: EngineClient, rendering: Rendering | None = None) -> Prompt:
    """The short conversation that checks are made on, as this engine takes it.

    rendering: where the engine has no tokenizer for conversations. Raises EngineError without either.
    """
    messages = [{"role": "user", "content": QUESTION}]
    if not client.dialect.takes_token_ids:
        return tuple(messages)
    ids = (
        client.dialect.chat_token_ids(messages, client.model, client.post)
        if rendering is None
        else rendering(messages)
    )
    if ids is None:
        raise EngineError(
            f"{client.dialect.name} has no tokenizer for conversations; name the model's own (tokenizer)"
        )
    return tuple(ids)


def _tokens(client: EngineClient, prompt: Prompt) -> Iterator[Finding]:
    text = client.complete(CompletionRequest(prompt, 4, top=5))
    if text.token_ids is None:
        yield Finding(
            "tokens",
            "texts",
            Trust.LIMITED,
            "limits from sampled log-probabilities work; the oracle and a reference model need token ids",
            "use an engine that takes and gives token ids (vLLM, SGLang, llama.cpp)",
        )
    else:
        yield Finding("tokens", "ids", Trust.GOOD, "texts can be scored again and searched")
    if any(len({one.token for one in row}) < len(row) for row in text.top):
        yield Finding(
            "likeliest tokens",
            "some named twice",
            Trust.LIMITED,
            "tokens that decode alike are not told apart",
        )
    else:
        yield Finding("likeliest tokens", "all different", Trust.GOOD, "each names one token")
    if client.dialect.takes_token_ids and text.prompt_tokens is not None:
        # EngineClient.complete refuses a prompt that is counted otherwise, so this one was taken as sent.
        yield Finding(
            "prompt", f"{len(prompt)} tokens as sent", Trust.GOOD, "no second beginning of text is added"
        )


def _law_at_temperature(client: EngineClient, prompt: Prompt) -> Iterator[Finding]:
    law = stated_law(client, prompt, WARM)
    found = (
        f"{law.of} (temperature {WARM}: {law.compared} differences, largest deviation "
        f"{law.deviation_nats:.3f} nats)"
    )
    remedy = "vLLM: --logprobs-mode processed_logprobs; SGLang: leave SGLANG_RETURN_ORIGINAL_LOGPROB unset"
    match law.of:
        case Law.SAMPLED:
            yield Finding("log-probabilities", found, Trust.GOOD, "profiles at any temperature")
        case Law.TEMPERATURE_1:
            yield Finding(
                "log-probabilities", found, Trust.LIMITED, "profiles at temperature 1 alone", remedy
            )
        case Law.UNCLEAR:
            yield Finding("log-probabilities", found, Trust.UNUSABLE, "they cannot be used", remedy)


def _defaults(client: EngineClient, prompt: Prompt) -> Iterator[Finding]:
    """What the server would do to the law if a request did not switch it off."""
    props = client.get_if_there("/props") if client.dialect.name == "llamacpp" else None
    if isinstance(props, dict):
        params: dict[str, Any] = props["default_generation_settings"].get("params", {})
        cut = [
            f"{name} {params[name]:g}"
            for name, value in NEUTRAL.items()
            if abs(params.get(name, value) - value) > 1e-6
        ]
        found = ", ".join(cut) or "neutral"
    else:
        found = _defaults_by_seed(client, prompt)
    yield Finding(
        "sampling defaults",
        found,
        Trust.LIMITED if found == UNTOLD else Trust.GOOD,
        "speclight switches top-k, top-p, min-p and penalties off in every request; other clients sample the "
        "law that the defaults leave",
        None
        if found == "neutral" or client.dialect.name != "vllm"
        else "--generation-config vllm leaves the model's defaults out",
    )


def _defaults_by_seed(client: EngineClient, prompt: Prompt) -> str:
    """With one seed a request that leaves settings to the server gives the same text iff they are neutral."""
    request = CompletionRequest(prompt, SEEDED_TOKENS, 1.0, seed=SEED)
    asked = client.dialect.completion(request, client.model)
    bare = client.post(HttpRequest(asked.path, _without(asked.body, {*WHOLE_LAW, "temperature"})))
    left = client.dialect.read(bare, request, client.post)
    first, again = client.complete(request), client.complete(request)
    if first.tokens != again.tokens:
        return UNTOLD
    return "neutral" if left.tokens == first.tokens else "they change the law"


def _without(body: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {
        key: _without(value, names) if isinstance(value, Mapping) else value
        for key, value in body.items()
        if key not in names
    }


def _largest_top(client: EngineClient, prompt: Prompt) -> Iterator[Finding]:
    largest, refused = 0, None
    for top in TOPS_TRIED:
        try:
            client.complete(CompletionRequest(prompt, 1, top=top))
        except EngineError:
            refused = top
            break
        largest = top
    trust = Trust.GOOD if largest >= ENOUGH_TOP else Trust.LIMITED if largest else Trust.UNUSABLE
    yield Finding(
        "likeliest tokens per position",
        f"at least {largest}" if refused is None else f"{largest}, not {refused}",
        trust,
        f"an oracle search is exact up to P = {largest + 1}, and beyond where its certificate says so",
        None if refused is None else "vLLM: --max-logprobs",
    )


def _drafted_tokens(client: EngineClient, prompt: Prompt) -> Iterator[Finding]:
    """Greedy text that repeats itself is what prompt lookup drafts best."""
    name = "log-probabilities of drafted tokens"
    try:
        text = client.complete(CompletionRequest(prompt, REPEATED_TOKENS, 0.0, top=1))
    except EngineError as error:
        if str(error) != UNSTATED:
            raise
        yield Finding(
            name,
            "0 beside no likeliest tokens",
            Trust.UNUSABLE,
            "a profile of this server would be wrong, so speclight refuses its answers",
            "start the server without speculative decoding, or only test it: `speclight verify --reference`",
        )
        return
    drafted = "no sign of a draft" if text.steps is None else "drafts were used"
    yield Finding(name, f"stated ({drafted})", Trust.GOOD, "profiles may be taken")
    if text.end_is_unstated:
        yield Finding(
            "end of text",
            "no log-probability",
            Trust.LIMITED,
            "mu comes out too small by the end of text's share; limits of tokens per call do not use it",
        )
    elif text.ended:
        yield Finding("end of text", "with its log-probability", Trust.GOOD, "counted as any token")


def _seeds(client: EngineClient, prompt: Prompt) -> Iterator[Finding]:
    request = CompletionRequest(prompt, 12, 1.0, seed=SEED)
    first, again, other = (
        client.complete(asked) for asked in (request, request, replace(request, seed=SEED + 1))
    )
    if first.tokens == other.tokens:
        yield Finding(
            "seeds",
            "two seeds, one text",
            Trust.UNUSABLE,
            "samples would be copies of each other, or the target is all but greedy",
        )
    elif first.tokens == again.tokens:
        yield Finding("seeds", "equal seeds, equal texts", Trust.GOOD, "different seeds are different draws")
    else:
        yield Finding(
            "seeds", "ignored", Trust.GOOD, "every text is a new draw; a resumed run cannot repeat one"
        )


def _several(client: EngineClient, prompt: Prompt) -> Iterator[Finding]:
    asked = client.dialect.completion(CompletionRequest(prompt, 2), client.model)
    try:
        answer = client.post(HttpRequest(asked.path, {**asked.body, "n": 2}))
        count = len(answer.get("choices") or ())
    except EngineError:
        count = 0
    yield Finding(
        "several texts per request",
        "given" if count == 2 else "not given",
        Trust.GOOD,
        "speclight asks for one text a request, so that metrics of the request stay",
    )
