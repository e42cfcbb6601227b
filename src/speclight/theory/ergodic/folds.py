"""Prompts in folds: what may be chosen freely is chosen for each fold on the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from speclight.arrays import BoolArray, FloatArray, IntArray

FOLDS = 5


def prompt_folds(prompts: IntArray, prompt_count: int) -> Iterator[tuple[BoolArray, BoolArray]]:
    """For each fold, [*] which entries are its own, and on which ones its choices are made.

    prompts: [*] number of each entry's prompt, below prompt_count. Where no other prompts have entries, the
    choice is the fold's own best.
    """
    folds = min(FOLDS, prompt_count)
    for fold in range(folds):
        mine = prompts % folds == fold
        yield mine, mine if mine.all() else ~mine


def chosen_on_others(values: FloatArray) -> FloatArray:
    """[prompts] of several choices' values [choices, prompts] that of the one least in sum on other folds."""
    count = int(values.shape[1])
    chosen = np.zeros(count)
    for mine, others in prompt_folds(np.arange(count), count):
        chosen[mine] = values[values[:, others].sum(axis=1).argmin(), mine]
    return chosen
