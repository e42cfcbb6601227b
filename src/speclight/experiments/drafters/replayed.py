"""Trained drafters replayed on answers that the target has given once: tokens per call without decoding anew.

Exact for the texts replayed, and much cheaper than decoding with every drafter; drafting costs are not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from speclight.drafting.chosen_drafters import ComparedDrafter
from speclight.drafting.drafters import law_source
from speclight.drafting.eagle3.conventions import default_layers
from speclight.drafting.protocol import LawSource
from speclight.errors import InvalidInput
from speclight.experiments.drafters.replay_settings import ReplaySettings as ReplaySettings
from speclight.measure.plan import run_plan
from speclight.measure.prompts import Prompt
from speclight.measure.store import RecordFolder
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent
from speclight.training.evaluation import scored_answers
from speclight.training.replay import replay
from speclight.training.shards import ScoredConversation, read_shard, write_shard

# Drafters whose law can be laid along a stored text with the states kept beside it.
REPLAYED_DRAFTERS = ("ngram", "model", "eagle3", "medusa")


@dataclass(frozen=True, slots=True)
class ReplayedCell:
    """Tokens per call of one drafter on one family's answers; standard_error over calls."""

    drafter: str
    temperature: float
    family: str
    node_budget: int
    calls: int
    tokens_per_call: float
    standard_error: float


def replay_drafters(
    target: CausalLM,
    prompts: Sequence[Prompt],
    drafters: Sequence[ComparedDrafter],
    settings: ReplaySettings,
    folder: Path,
    progress: Progress = silent,
) -> tuple[ReplayedCell, ...]:
    """Every drafter on the first prompts of every family; the target's answers stay in `folder` for the next.

    Raises StorageError if the folder holds answers of another plan, InvalidInput for a drafter that reads
    states which are not kept.
    """
    families = {
        family: [prompt for prompt in prompts if prompt.family == family][: settings.prompts_per_family]
        for family in dict.fromkeys(prompt.family for prompt in prompts)
    }
    answers = _Answers(target, families, settings, folder)
    steps = len(settings.temperatures) * len(families) * len(drafters)
    cells: list[ReplayedCell] = []
    for temperature in settings.temperatures:
        sampling = SamplingSettings(temperature)
        sources = [law_source(drafter.choice, target, sampling) for drafter in drafters]
        for family in families:
            texts = answers.of(family, temperature)
            for source in sources:
                cells += _replayed(source, texts, family, temperature, settings, target)
                progress(len(cells) // len(settings.node_budgets), steps, f"{source.name}, {family}")
    return tuple(cells)


def _replayed(
    source: LawSource,
    texts: list[ScoredConversation],
    family: str,
    temperature: float,
    settings: ReplaySettings,
    target: CausalLM,
) -> list[ReplayedCell]:
    read = _with_states_for(source, texts, target)
    cells: list[ReplayedCell] = []
    for node_budget in settings.node_budgets:
        calls = replay(source, read, node_budget, target.end_of_text).tokens_by_call
        error = float(calls.std() / len(calls) ** 0.5)
        cell = (source.name, temperature, family, node_budget, len(calls), float(calls.mean()), error)
        cells.append(ReplayedCell(*cell))
    return cells


def _with_states_for(
    source: LawSource, texts: list[ScoredConversation], target: CausalLM
) -> list[ScoredConversation]:
    """The same texts with the states that this drafter reads."""
    if source.hidden_layers == (target.output_state,):
        return [replace(text, features=text.last_states) for text in texts]
    if source.hidden_layers not in ((), default_layers(target.layers)):
        raise InvalidInput(
            f"{source.name} reads the states of layers {source.hidden_layers}, expected "
            f"{default_layers(target.layers)} or the output's, which are kept; use compare-drafters for it"
        )
    return texts


class _Answers:
    """The target's answers, sampled once for each family and temperature and kept on disk."""

    def __init__(
        self, target: CausalLM, families: dict[str, list[Prompt]], settings: ReplaySettings, folder: Path
    ) -> None:
        self._target, self._families, self._settings, self._folder = target, families, settings, folder
        plan = run_plan(
            "replayed answers",
            target,
            dtype=str(target.model.dtype),
            max_tokens=settings.max_tokens,
            seed=settings.seed,
            prompts=[asdict(prompt) for members in families.values() for prompt in members],
        )
        RecordFolder(folder, plan)

    def of(self, family: str, temperature: float) -> list[ScoredConversation]:
        path = self._folder / f"answers-{temperature:g}-{family}.safetensors"
        if not path.exists():
            texts = scored_answers(
                self._target,
                [prompt.turns[0] for prompt in self._families[family]],
                default_layers(self._target.layers),
                temperature,
                self._settings.max_tokens,
                self._settings.seed,
            )
            write_shard(path, texts)
        return read_shard(path)
