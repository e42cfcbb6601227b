"""The options of decoding, one set for `generate`, `generate_batch`, `stream` and `Conversation`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypedDict, Unpack, cast

from speclight.decoding.fitting_drafters import drafters_for
from speclight.decoding.settings import AUTO, Auto, DecodeSettings, LogitsProcessor
from speclight.drafting.drafter_choices import DrafterChoice
from speclight.drafting.protocol import Drafter
from speclight.drafting.tree_choices import TreeChoice
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling_settings import SamplingSettings
from speclight.verification.greedy import Greedy
from speclight.verification.race import Race
from speclight.verification.rule import VerifyRule
from speclight.verification.rules import known_rules, rule_named
from speclight.verification.target_sample import TargetSample


class DecodeOptions(TypedDict, total=False):
    """What can be chosen about decoding, by keyword; all of it may be left out."""

    drafter: str | DrafterChoice | Drafter | Sequence[Drafter]
    """Who drafts: a name in `speclight.DRAFTERS` or "none"; a choice such as `speclight.LayerSkip(24)`; or an
    object of your own, of a batch one for each text. "ngram" if left out."""
    rule: str | VerifyRule
    """How drafts are verified: a name in `speclight.RULES`, or an object of your own. "target_sample" if left
    out."""
    tree: TreeChoice | None
    """The tree that a drafter given by name or choice drafts, such as `speclight.Chain(kind="race")`; by
    default that of a kind of draft the rule verifies."""
    node_budget: int | Auto
    """P, positions scored in one target call, root included, of each text; "auto": in each call as many as
    pay here, by cost and gain of the calls before, none where plain decoding is faster. If left out, auto
    with rules whose text does not depend on it (target_sample, greedy, race), 8 with the others."""
    draft_ahead: bool
    """Whether the drafter goes on in a second thread while the target scores its draft, see the guide; False
    if left out. For drafters that are models: model, layer_skip, two_stage."""
    max_tokens: int
    """Tokens to emit at the most; 128 if left out."""
    seed: int
    """Seed of all randomness, >= 0; of a batch and of a conversation each next text has the next seed."""
    temperature: float
    """Temperature of the law that is sampled, 1 if left out; 0 is greedy decoding."""
    top_k: int | None
    """Keep this many of the most probable tokens."""
    top_p: float | None
    """Keep the smallest set of most probable tokens with this much probability."""
    repetition_penalty: float
    """Divides positive logits of tokens the text holds already; 1 is none."""
    processors: Sequence[LogitsProcessor] | None
    """Further functions of token ids and logits, applied to each visited node with its own prefix."""
    stop: str | Sequence[str] | None
    """Strings that end the text, the one met included."""


KNOWN = tuple(DecodeOptions.__annotations__)
# Rules that emit the target's own draws, which `auto` ties to places in the text: the text follows from the
# seed, whatever is drafted. With the others it depends on the drafts, and so, with auto, on the clock.
TEXT_BY_SEED = (TargetSample, Greedy, Race)


@dataclass(frozen=True, slots=True)
class ChosenDecoding:
    """The options of one call, read and checked."""

    drafter: str | DrafterChoice | Drafter | Sequence[Drafter]
    tree: TreeChoice | None
    rule: VerifyRule
    settings: DecodeSettings

    def drafters(self, target: CausalLM, texts: int) -> Iterable[Drafter]:
        """One for each text, made as they are asked for. Raises InvalidInput as `drafters_for` does."""
        one = self.drafter if isinstance(self.drafter, str | DrafterChoice | Sequence) else [self.drafter]
        return drafters_for(target, one, self.rule, self.settings.sampling, self.tree, texts)


def chosen_decoding(**options: Unpack[DecodeOptions]) -> ChosenDecoding:
    """The options read. Raises InvalidInput for unknown ones, and for values of a wrong type or range."""
    unknown = [name for name in options if name not in KNOWN]
    if unknown:
        near = get_close_matches(unknown[0], KNOWN, 1)
        remedy = f"did you mean {near[0]}?" if near else "leave it out"
        raise InvalidInput(f"got the option {unknown[0]!r}, expected one of {', '.join(KNOWN)}; {remedy}")
    given = cast(dict[str, Any], dict(options))
    sampling = {name: given[name] for name in ("temperature", "top_k", "top_p") if name in given}
    plain = {
        name: given[name]
        for name in ("node_budget", "draft_ahead", "max_tokens", "seed", "repetition_penalty")
        if name in given
    }
    rule = _rule(options.get("rule", "target_sample"))
    if isinstance(rule, TEXT_BY_SEED):
        plain.setdefault("node_budget", AUTO)
    settings = DecodeSettings(
        **plain,
        sampling=SamplingSettings(**sampling),
        processors=_processors(options.get("processors")),
        stop_strings=_strings(options.get("stop")),
    )
    tree = options.get("tree")
    if tree is not None and not isinstance(tree, TreeChoice):
        raise InvalidInput(f"got the tree {tree!r}, expected one such as speclight.BestFirst(); build one")
    return ChosenDecoding(_drafter(options.get("drafter", "ngram")), tree, rule, settings)


def _rule(given: object) -> VerifyRule:
    if isinstance(given, str):
        return rule_named(given)
    if isinstance(given, type) or not hasattr(given, "verify"):
        raise InvalidInput(
            f"got the rule {given!r}, expected a name or an object of your own; choose among {known_rules()}"
        )
    return cast(VerifyRule, given)


def _drafter(given: object) -> str | DrafterChoice | Drafter | Sequence[Drafter]:
    if isinstance(given, DrafterChoice):
        return given
    several = isinstance(given, Sequence) and not isinstance(given, str)
    for one in cast(Sequence[object], given) if several else [given]:
        if several and isinstance(one, str | DrafterChoice):
            raise InvalidInput(
                f"got the drafter {one!r} in a list, expected it alone; give drafter={one!r} for all texts"
            )
        if isinstance(one, type) or not (isinstance(one, str) or hasattr(one, "propose")):
            raise InvalidInput(
                f"got the drafter {one!r}, expected a name, a choice or an object with `propose`; for a "
                "model as a drafter, say drafter=speclight.Model(weights)"
            )
    return cast("str | Drafter | Sequence[Drafter]", given)


def _processors(given: object) -> tuple[LogitsProcessor, ...]:
    if given is None:
        return ()
    if callable(given) and not isinstance(given, Sequence):
        raise InvalidInput(f"got the processor {given!r}, expected a list of them; write processors=[...]")
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise InvalidInput(f"got processors {given!r}, expected a list of functions; leave it out for none")
    return tuple(cast(Iterable[LogitsProcessor], given))


def _strings(given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise InvalidInput(f"got stop {given!r}, expected strings; give one or a list of them")
    return tuple(cast(Iterable[str], given))
