"""`speclight experiment replay-drafters`: trained drafters on answers that the target has given once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.options import (
    JsonFlag,
    PromptOptions,
    TargetOptions,
    check_run,
    load_target,
    read_prompt_options,
)
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.experiments.drafters.replay_settings import ReplaySettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from speclight.experiments.drafters.replayed import ReplayedCell


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDraftersOptions:
    """Options of `speclight experiment replay-drafters`."""

    out: Path = Path("out/replay-drafters")
    """Folder for the target's answers, which later runs with the same prompts read again."""
    drafter: tuple[str, ...] = ()
    """Drafters replayed, as NAME or NAME=WEIGHTS: ngram, model, eagle3, medusa; if not given, all that need
    none."""
    settings: ReplaySettings = field(default_factory=ReplaySettings)
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def replay_drafters(options: ReplayDraftersOptions = ReplayDraftersOptions()) -> None:
    """Replay trained drafters on the target's own answers: tokens per call, without decoding anew.

    The target answers each prompt once, of several turns the first; what a call would have emitted is then
    known for every drafter, with best-first trees. Exact for these texts. Drafting costs are not in it.

        speclight experiment replay-drafters --drafter eagle3 --drafter ngram --budget 16,60
    """
    check_run(options.target, options.out, options.drafter)
    prompts = read_prompt_options(options.prompts)

    from speclight.drafting.chosen_drafters import compared_drafters
    from speclight.experiments.drafters.replayed import REPLAYED_DRAFTERS, replay_drafters

    with command_output(options.json) as output:
        target = load_target(options.target)
        drafters = compared_drafters(target, REPLAYED_DRAFTERS, options.drafter)
        with progress_bars() as progress:
            cells = replay_drafters(target, prompts, drafters, options.settings, options.out, progress)
        if options.json:
            output.write_json(
                {
                    "target": target.name,
                    "settings": asdict(options.settings),
                    "cells": [asdict(cell) for cell in cells],
                }
            )
        else:
            for temperature in options.settings.temperatures:
                output.show(_table(temperature, [cell for cell in cells if cell.temperature == temperature]))
            output.show(f"answers: {options.out}")


def _table(temperature: float, cells: Sequence[ReplayedCell]) -> Table:
    from rich.table import Table

    columns = list(dict.fromkeys((cell.drafter, cell.node_budget) for cell in cells))
    table = Table(
        title=f"Tokens per call at temperature {temperature:g}, first turns (standard error over calls)"
    )
    table.add_column("family", no_wrap=True)
    for drafter, node_budget in columns:
        table.add_column(f"{drafter}, P = {node_budget}", justify="right")
    found = {(cell.family, cell.drafter, cell.node_budget): cell for cell in cells}
    families = list(dict.fromkeys(cell.family for cell in cells))
    for family in families:
        row = [found[family, *column] for column in columns]
        table.add_row(family, *(f"{cell.tokens_per_call:.2f} ({cell.standard_error:.2f})" for cell in row))
    means = [sum(found[name, *column].tokens_per_call for name in families) for column in columns]
    table.add_row("mean", *(f"{mean / len(families):.2f}" for mean in means))
    return table
