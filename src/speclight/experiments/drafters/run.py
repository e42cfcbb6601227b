"""Every drafter on the same prompts: what a call emits, and where its time goes.

The prompts are taken one by one, each decoded with every drafter before the next, so that a machine that is
slower for a while is slower for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from speclight.decoding.call_trace import CallTrace
from speclight.decoding.divergence import NEAR_TIE_LOGITS, Divergence, first_divergence
from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafter_choices import NO_DRAFTER
from speclight.drafting.drafters import new_drafter
from speclight.drafting.protocol import Drafter
from speclight.experiments.drafters.settings import DrafterComparisonSettings as DrafterComparisonSettings
from speclight.measure.decoded_run.decoding import DecodedPrompt, decode_turns
from speclight.measure.plan import run_plan
from speclight.measure.prompts import Prompt
from speclight.measure.provenance import machine_class
from speclight.measure.store import read_table, recording
from speclight.measure.turns import AskedTurn, first_turns, turns_plan
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent

RULE = "target_sample"
# A decode this long before the first one that is timed pays for what a process does only once.
WARM_UP_TOKENS = 4


@dataclass(frozen=True, slots=True)
class DraftedText:
    """One turn of a prompt decoded with one drafter.

    Tuples hold one entry for each target call, seconds by phase. drafter_calls: batched calls of the drafter.
    margin: where a greedy text leaves plain decoding's, how far its token lies below the best one in logits
    (infinite where one text just ends); None if it does not, or above temperature 0. rounding: the largest
    margin that rounding explains there, see `Divergence`; None as margin, and in records made before it was
    noted. turn: of the prompt, from 1; noted where it is later.
    """

    drafter: str
    temperature: float
    prompt_id: str
    family: str
    token_ids: tuple[int, ...]
    tokens: tuple[int, ...]
    nodes: tuple[int, ...]
    drafter_calls: tuple[int, ...]
    draft_seconds: tuple[float, ...]
    target_seconds: tuple[float, ...]
    verify_seconds: tuple[float, ...]
    commit_seconds: tuple[float, ...]
    margin: float | None
    rounding: float | None = None
    turn: int = 1

    @property
    def is_near_tie(self) -> bool:
        """Whether the text leaves plain decoding's where rounding decides."""
        rounding = NEAR_TIE_LOGITS if self.rounding is None else self.rounding
        return self.margin is not None and self.margin <= rounding


@dataclass(frozen=True, slots=True)
class DrafterComparison:
    """All texts of all drafters. machine, threads: what the seconds were taken on."""

    target: str
    settings: DrafterComparisonSettings
    machine: str
    threads: int
    drafters: tuple[ComparedDrafter, ...]
    texts: tuple[DraftedText, ...]


def run_drafter_comparison(
    target: CausalLM,
    prompts: Sequence[Prompt],
    drafters: Sequence[ComparedDrafter],
    settings: DrafterComparisonSettings,
    folder: Path,
    progress: Progress = silent,
) -> DrafterComparison:
    """Decode the first prompts of each family with every drafter, plain decoding always among them.

    Of a prompt with several turns each is decoded, by all drafters after plain decoding's earlier answers.

    The text is the unit of work; a killed run goes on with the first one missing. Each drafter has a folder
    of its own, so more of them can be added later. Raises StorageError if a folder holds another plan, such
    as another machine or number of threads.
    """
    chosen = _chosen(prompts, settings.prompts_per_family)
    plain = ComparedDrafter(NO_DRAFTER)
    compared = (plain, *(drafter for drafter in drafters if drafter != plain))
    with ExitStack() as folders:
        run = _Run(target, chosen, compared, settings, folder, folders)
        for order, temperature in enumerate(settings.temperatures):
            run.at_temperature(order, temperature, progress)
    return DrafterComparison(
        target.name,
        settings,
        machine_class(),
        torch.get_num_threads(),
        compared,
        tuple(
            _read(folder / drafter.name, _name(order, number))
            for drafter in compared
            for order in range(len(settings.temperatures))
            for number in range(sum(len(prompt.turns) for prompt in chosen))
        ),
    )


def _chosen(prompts: Sequence[Prompt], per_family: int) -> tuple[Prompt, ...]:
    families = dict.fromkeys(prompt.family for prompt in prompts)
    by_family = [[prompt for prompt in prompts if prompt.family == family] for family in families]
    return tuple(prompt for family in by_family for prompt in family[:per_family])


class _Run:
    """Decodes what is still missing."""

    def __init__(
        self,
        target: CausalLM,
        prompts: Sequence[Prompt],
        drafters: Sequence[ComparedDrafter],
        settings: DrafterComparisonSettings,
        folder: Path,
        folders: ExitStack,
    ) -> None:
        self._target, self._prompts, self._settings, self._folder = target, prompts, settings, folder
        self._drafters = drafters
        # Which turn of which prompt a text answers, by its number in the records.
        self._turns = [
            (place, turn) for place, prompt in enumerate(prompts) for turn in range(1, len(prompt.turns) + 1)
        ]
        self._records = {
            drafter: folders.enter_context(recording(folder / drafter.name, self._plan(drafter)))
            for drafter in drafters
        }

    def at_temperature(self, order: int, temperature: float, progress: Progress) -> None:
        """Every prompt with every drafter, prompt by prompt."""
        waiting = [
            (number, drafter)
            for number in range(len(self._turns))
            for drafter in self._drafters
            if not self._records[drafter].has(_name(order, number))
        ]
        made = {
            drafter: self._warmed_up(drafter, temperature) for drafter in dict.fromkeys(d for _, d in waiting)
        }
        all_texts = len(self._turns) * len(self._drafters)
        for left, (number, drafter) in zip(range(len(waiting), 0, -1), waiting, strict=True):
            progress(all_texts - left, all_texts, f"decoding at temperature {temperature:g}")
            asked = self._asked(order, number)
            (decoded,) = self._decoded(drafter, made[drafter], temperature, asked)
            found = self._divergence(drafter, decoded, order, number) if temperature == 0.0 else None
            text = _drafted_text(drafter.name, temperature, decoded, found)
            self._records[drafter].write(_name(order, number), _table(text))
        progress(all_texts, all_texts, f"decoding at temperature {temperature:g}")

    def _warmed_up(self, drafter: ComparedDrafter, temperature: float) -> Drafter:
        made = new_drafter(drafter.choice, self._target, sampling=SamplingSettings(temperature))
        short = replace(self._settings, max_tokens=WARM_UP_TOKENS).decoding(temperature)
        decode_turns(self._target, first_turns(self._prompts[:1]), made, RULE, short)
        return made

    def _asked(self, order: int, number: int) -> AskedTurn:
        """The turn of a text, after the answers that plain decoding, always the first, gave before it."""
        place, turn = self._turns[number]
        answers = [
            self._target.text_of(_read(self._folder / NO_DRAFTER, _name(order, earlier)).token_ids)
            for earlier in range(number - turn + 1, number)
        ]
        return AskedTurn(self._prompts[place], place, 0, tuple(answers))

    def _decoded(
        self, drafter: ComparedDrafter, made: Drafter, temperature: float, asked: AskedTurn
    ) -> list[DecodedPrompt]:
        settings = self._settings.decoding(temperature)
        if drafter.name == NO_DRAFTER:
            settings = replace(settings, node_budget=1)
        return decode_turns(self._target, [asked], made, RULE, settings)

    def _divergence(
        self, drafter: ComparedDrafter, decoded: DecodedPrompt, order: int, number: int
    ) -> Divergence | None:
        if drafter.name == NO_DRAFTER:
            return None
        plain = _read(self._folder / NO_DRAFTER, _name(order, number))
        return first_divergence(
            self._target, decoded.prompt_ids, decoded.generation.token_ids, plain.token_ids
        )

    def _plan(self, drafter: ComparedDrafter) -> dict[str, object]:
        return run_plan(
            "drafted texts",
            self._target,
            dtype=str(self._target.model.dtype),
            machine=machine_class(),
            threads=torch.get_num_threads(),
            drafter=drafter.plan(),
            settings=asdict(self._settings),
            prompts=[asdict(prompt) for prompt in self._prompts],
            **turns_plan(self._prompts),
        )


def _drafted_text(
    drafter: str, temperature: float, decoded: DecodedPrompt, divergence: Divergence | None
) -> DraftedText:
    calls: tuple[CallTrace, ...] = decoded.generation.calls
    return DraftedText(
        drafter=drafter,
        temperature=temperature,
        prompt_id=decoded.prompt.prompt_id,
        family=decoded.prompt.family,
        token_ids=decoded.generation.token_ids,
        tokens=tuple(call.tokens_emitted for call in calls),
        nodes=tuple(len(call.tree) for call in calls),
        drafter_calls=tuple(call.draft_cost.calls for call in calls),
        draft_seconds=tuple(call.seconds.draft for call in calls),
        target_seconds=tuple(call.seconds.target for call in calls),
        verify_seconds=tuple(call.seconds.verify for call in calls),
        commit_seconds=tuple(call.seconds.commit for call in calls),
        margin=None if divergence is None else divergence.margin,
        rounding=None if divergence is None else divergence.rounding,
        turn=decoded.asked.turn,
    )


def _table(text: DraftedText) -> pa.Table:
    row = asdict(text)
    return pa.Table.from_pylist([{name: row[name] for name in row if name != "turn" or text.turn > 1}])


def _name(order: int, number: int) -> str:
    return f"temperature-{order}-text-{number:03d}"


def _read(folder: Path, name: str) -> DraftedText:
    row: dict[str, Any]
    (row,) = read_table(folder, name).to_pylist()
    lists = {key: tuple(value) for key, value in row.items() if isinstance(value, list)}
    return DraftedText(**{**row, **lists})
