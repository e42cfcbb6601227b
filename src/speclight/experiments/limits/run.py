"""The limits test from question files to its claims: measure what is missing, split the errors, pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from speclight.experiments.limits.claims import (
    Coverage,
    DecodeClaim,
    DualValues,
    SplitClaim,
    claim_of_cell,
    coverage,
    decode_claim,
    dual_values,
    pooled_claim,
)
from speclight.experiments.limits.data import DataFolder, LimitsTestSettings
from speclight.experiments.question_files import QuestionFile
from speclight.measure.paired_contexts import PairedContext
from speclight.measure.profile import Profile
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.theory.catalogue import drawn_in
from speclight.theory.ergodic.strata import quantile_strata
from speclight.theory.known import known_from_texts

STRATA = 4


@dataclass(frozen=True, slots=True)
class CellSizes:
    """How much was measured in one cell. contexts, prompts: of the paired contexts."""

    family: str
    temperature: float
    text_tokens: int
    contexts: int
    prompts: int
    decoded_texts: int


@dataclass(frozen=True, slots=True)
class MethodRatio:
    """One statement from a cell's texts over the mean best E[X] at contexts of the same texts.

    Most of the sampling error is common to both, so none is stated.
    """

    family: str
    temperature: float
    node_budget: int
    method: str
    ratio: float


@dataclass(frozen=True, slots=True)
class LimitsTest:
    """The result: errors of cells and pooled by P, the claim about other prompts, decodes, all statements."""

    target: str
    sizes: tuple[CellSizes, ...]
    cells: tuple[SplitClaim, ...]
    pooled: tuple[SplitClaim, ...]
    coverage: tuple[Coverage, ...]
    decodes: tuple[DecodeClaim, ...]
    methods: tuple[MethodRatio, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Cell:
    family: QuestionFile
    temperature: float
    texts: Profile
    contexts: tuple[PairedContext, ...]
    values: tuple[DualValues, ...]
    decodes: tuple[DecodeClaim, ...]


def run_limits_test(
    model: CausalLM,
    families: tuple[QuestionFile, ...],
    settings: LimitsTestSettings,
    folder: Path,
    progress: Progress = silent,
) -> LimitsTest:
    """Measure every cell (a folder of records for each part, resumable) and split its errors.

    Raises StorageError if the folder holds records of other settings, InvalidInput for texts too short for
    the largest node budget.
    """
    data = DataFolder(model, settings, folder, progress)
    cells = [
        _measured(data, family, temperature, settings)
        for temperature in settings.temperatures
        for family in families
    ]
    budgets = tuple(enumerate(settings.node_budgets))
    return LimitsTest(
        target=model.name,
        sizes=tuple(map(_sizes, cells)),
        cells=tuple(
            claim_of_cell(cell.family.name, cell.temperature, budget, cell.contexts, cell.values[place])
            for cell in cells
            for place, budget in budgets
        ),
        pooled=tuple(
            pooled_claim(budget, [(cell.family.name, cell.contexts, cell.values[place]) for cell in cells])
            for place, budget in budgets
        ),
        coverage=tuple(
            coverage(
                budget,
                [(cell.family.categories, cell.contexts, cell.values[place]) for cell in cells],
                settings.splits,
                settings.seed,
            )
            for place, budget in budgets
        ),
        decodes=tuple(claim for cell in cells for claim in cell.decodes),
        methods=tuple(ratio for cell in cells for ratio in _methods(cell, settings.node_budgets)),
    )


def _measured(
    data: DataFolder, family: QuestionFile, temperature: float, settings: LimitsTestSettings
) -> _Cell:
    texts, contexts = data.texts(family, temperature), data.contexts(family, temperature)
    calls = data.oracle_calls(family, temperature)
    return _Cell(
        family,
        temperature,
        texts,
        contexts,
        tuple(
            dual_values(contexts, settings.node_budgets, place) for place in range(len(settings.node_budgets))
        ),
        tuple(
            decode_claim(
                family.name,
                temperature,
                budget,
                texts.sampled_texts(family.name),
                [call for call in calls if call.node_budget == budget],
                settings.decode_tokens,
            )
            for budget in settings.decode_budgets
        ),
    )


def _sizes(cell: _Cell) -> CellSizes:
    return CellSizes(
        family=cell.family.name,
        temperature=cell.temperature,
        text_tokens=sum(len(text.token_ids) for text in cell.texts.texts),
        contexts=len(cell.contexts),
        prompts=len({context.prompt_id for context in cell.contexts}),
        decoded_texts=max((claim.texts for claim in cell.decodes), default=0),
    )


def _methods(cell: _Cell, node_budgets: Sequence[int]) -> list[MethodRatio]:
    """Every statement that pictures of bounds draw, but lower ones, from the texts of the contexts."""
    name, largest = cell.family.name, max(node_budgets)
    texts = cell.texts.sampled_texts(name)
    known = known_from_texts(texts, largest, cell.texts.step_laws[name], quantile_strata(texts, STRATA))
    return [
        MethodRatio(name, cell.temperature, budget, bound.name, bound.value / float(values.best.mean()))
        for budget, values in zip(node_budgets, cell.values, strict=True)
        for bound in known.bounds(budget, drawn_in("comparison"))
        if bound.side != "lower"
    ]
