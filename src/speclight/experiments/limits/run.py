"""The limits test from question files to its table: measure what is missing, compare, pool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from speclight.experiments.limits.cells import (
    CellData,
    Comparison,
    PooledError,
    compare_cell,
    pooled_errors,
)
from speclight.experiments.limits.data import SHIPPED, DataFolder, Family, LimitsTestSettings
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent
from speclight.theory.ergodic.start_features import FeatureName, choose_sorter

# Below it Jensen's gap at near-deterministic contexts dominates; the pooled error is stated from here on.
POOLED_FROM = 16


@dataclass(frozen=True, slots=True)
class CellSizes:
    """How much was measured in one cell. tokens, prompts: of the traces."""

    family: str
    temperature: float
    tokens: int
    prompts: int
    oracle_contexts: int
    oracle_calls: int


@dataclass(frozen=True, slots=True)
class LimitsTest:
    """The result. feature: what the starts were sorted by; strata: into how many."""

    target: str
    feature: FeatureName
    strata: int
    sizes: tuple[CellSizes, ...]
    comparisons: tuple[Comparison, ...]
    pooled: tuple[PooledError, ...]


def run_limits_test(
    model: CausalLM,
    families: tuple[Family, ...],
    settings: LimitsTestSettings,
    feature: FeatureName,
    strata: int,
    folder: Path,
    progress: Progress = silent,
) -> LimitsTest:
    """Measure every cell (a folder of records each, resumable) and compare all limits with the oracle.

    Strata are chosen per temperature on the shipped prompts. Raises StorageError if the folder holds records
    of other settings, InvalidInput for texts too short for the largest node budget.
    """
    data = DataFolder(model, settings, folder, progress)
    comparisons: list[Comparison] = []
    sizes: list[CellSizes] = []
    for temperature in settings.temperatures:
        shipped = data.shipped(temperature).sampled_texts(SHIPPED)
        sorter = choose_sorter(shipped, feature, strata)
        for family in families:
            cell = CellData(
                family=family,
                temperature=temperature,
                traces=data.traces(family, temperature),
                oracle_texts=data.oracle_texts(family, temperature),
                oracle=data.oracle(family, temperature),
                calls=data.oracle_calls(family, temperature),
            )
            comparisons += compare_cell(cell, settings, sorter)
            sizes.append(_sizes(cell))
    large = tuple(budget for budget in settings.node_budgets if budget >= POOLED_FROM)
    return LimitsTest(
        target=model.name,
        feature=feature,
        strata=strata,
        sizes=tuple(sizes),
        comparisons=tuple(comparisons),
        pooled=tuple(pooled_errors(comparisons, large)),
    )


def _sizes(cell: CellData) -> CellSizes:
    texts = cell.trace_texts
    return CellSizes(
        family=cell.family.name,
        temperature=cell.temperature,
        tokens=sum(len(text) for text in texts),
        prompts=len({text.prompt_id for text in texts}),
        oracle_contexts=len(cell.oracle.rows),
        oracle_calls=len(cell.calls),
    )
