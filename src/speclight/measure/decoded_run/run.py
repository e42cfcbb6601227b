"""Prompts decoded by a drafter and plainly in turn, recorded, and what was possible at every call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from speclight.decoding.fitting_drafters import drafter_for
from speclight.decoding.settings import DecodeSettings
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import Plain
from speclight.drafting.drafters import law_source
from speclight.drafting.protocol import Drafter, LawSource
from speclight.drafting.tree_choices import BestFirst, TreeChoice
from speclight.measure.decoded_run.decoding import OWN_LOOP, DecodedPrompt, decode_turns
from speclight.measure.decoded_run.in_turn import answered_in_turn
from speclight.measure.decoded_run.possible import possible_at_starts
from speclight.measure.decoded_run.record import DecodedRun, DecodedText
from speclight.measure.decoded_run.settings import DecodedRunSettings
from speclight.measure.decoded_run.tables import (
    DECODED_PARTS,
    KIND,
    STARTS,
    calls_table,
    read_decoded,
    read_decoded_run,
    rounds_table,
    starts_table,
    texts_table,
    unit_name,
)
from speclight.measure.decoded_run.texts import decoded_text
from speclight.measure.decoded_run.timing import WARM_UP_TOKENS
from speclight.measure.plan import run_plan
from speclight.measure.prompts import Prompt
from speclight.measure.provenance import machine_class
from speclight.measure.store import RecordFolder, recording
from speclight.measure.turns import AskedTurn, check_conversations_fit, first_turns, turns_plan
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.verification.rule import VerifyRule

DRAFTED = "drafted"


@dataclass(frozen=True, slots=True)
class DraftedBy:
    """Who drafts, which trees, verified how. tree_name: of the tree, as the command line writes it."""

    drafter: ComparedDrafter
    tree: TreeChoice
    tree_name: str
    rule: VerifyRule


def run_decoded(
    model: CausalLM,
    prompts: Sequence[Prompt],
    by: DraftedBy,
    settings: DecodedRunSettings,
    folder: Path,
    progress: Progress = silent,
) -> DecodedRun:
    """Decode the first prompts of each family in every round, and look at what was possible at each call.

    The prompt is the resumable unit, decoding and looking apart: all of a prompt's rounds are of one session,
    so that drafted and plain seconds belong together. Raises StorageError if the folder holds another plan,
    such as another machine, and ContextOverflow for prompts that leave no room.
    """
    chosen = _first_of_families(prompts, settings.prompts_per_family)
    check_conversations_fit(model, chosen, settings.max_tokens)
    plan = run_plan(
        KIND,
        model,
        drafter=by.drafter.plan(),
        tree=by.tree_name,
        kind_of_drafts=by.tree.kind,
        rule=by.rule.name,
        dtype=str(model.model.dtype),
        machine=machine_class(),
        threads=torch.get_num_threads(),
        settings=asdict(settings),
        prompts=[asdict(prompt) for prompt in chosen],
        **turns_plan(chosen),
    )
    with recording(folder, plan) as records:
        _decode_missing(model, chosen, by, settings, records, progress)
        _look_at_missing(model, len(chosen), by, settings, records, progress)
    return read_decoded_run(folder)


def _first_of_families(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """So many of each family, families taking turns: a killed run has some of each."""
    families = dict.fromkeys(prompt.family for prompt in prompts)
    by_family = [[prompt for prompt in prompts if prompt.family == name][:count] for name in families]
    return [group[place] for place in range(count) for group in by_family if place < len(group)]


def _decode_missing(
    model: CausalLM,
    prompts: Sequence[Prompt],
    by: DraftedBy,
    settings: DecodedRunSettings,
    records: RecordFolder,
    progress: Progress,
) -> None:
    missing = [
        number
        for number in range(len(prompts))
        if not all(records.has(unit_name(number, part)) for part in DECODED_PARTS)
    ]
    if not missing:
        return
    decoders = _decoders(model, by, settings)
    turns = first_turns(prompts)
    for drafter, own in decoders.values():  # the first call of all takes longer
        short = replace(own, max_tokens=min(own.max_tokens, WARM_UP_TOKENS))
        decode_turns(model, [turns[missing[0]]], drafter, by.rule.name, short)
    for number in missing:
        texts = _decoded(model, turns[number], decoders, by.rule.name, settings, backwards=number % 2 == 1)
        for part, table in zip(DECODED_PARTS, (texts_table, calls_table, rounds_table), strict=True):
            records.write(unit_name(number, part), table(texts))
        progress(number + 1, len(prompts), "decoding, in turn with plain decoding")


def _decoders(
    model: CausalLM, by: DraftedBy, settings: DecodedRunSettings
) -> dict[str, tuple[Drafter, DecodeSettings]]:
    drafter = drafter_for(model, by.drafter.choice, by.rule, settings.sampling, by.tree)
    return {
        OWN_LOOP: (drafter_for(model, Plain(), by.rule, settings.sampling, by.tree), settings.plain),
        DRAFTED: (drafter, settings.drafted),
    }


def _decoded(
    model: CausalLM,
    first: AskedTurn,
    decoders: dict[str, tuple[Drafter, DecodeSettings]],
    rule: str,
    settings: DecodedRunSettings,
    *,
    backwards: bool,
) -> list[DecodedText]:
    """All turns of a prompt; the conversation goes on with plain decoding's answers."""

    def decode(drafter: Drafter, own: DecodeSettings, asked: AskedTurn) -> DecodedPrompt:
        (made,) = decode_turns(model, [asked], drafter, rule, own)
        return made

    made = {name: partial(decode, drafter, own) for name, (drafter, own) in decoders.items()}
    in_turn = answered_in_turn(
        first, made, lambda rounds: rounds[0][OWN_LOOP].generation.text, settings.rounds, backwards=backwards
    )
    return [
        decoded_text(
            model,
            [each[DRAFTED] for each in rounds],
            [each[OWN_LOOP] for each in rounds],
            settings.sampling,
        )
        for _, rounds in in_turn
    ]


def _look_at_missing(
    model: CausalLM,
    prompts: int,
    by: DraftedBy,
    settings: DecodedRunSettings,
    records: RecordFolder,
    progress: Progress,
) -> None:
    source: LawSource | None = None
    own_trees = isinstance(by.tree, BestFirst) or isinstance(by.drafter.choice, Plain)
    for number in range(prompts):
        if not records.has(unit_name(number, STARTS)):
            if source is None and not own_trees:
                source = law_source(by.drafter.choice, model, settings.sampling)
            texts = [
                replace(
                    text,
                    starts=possible_at_starts(model, text, settings.node_budget, settings.sampling, source),
                )
                for text in read_decoded(records.folder, number)
            ]
            records.write(unit_name(number, STARTS), starts_table(texts))
        progress(number + 1, prompts, "best trees at the run's own call starts")
