"""`speclight experiment many-to-one`: the identity behind the ergodic bound, checked at single contexts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, TargetOptions, check_run, load_target
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.experiments.many_to_one_settings import ManyToOneSettings

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.experiments.many_to_one import Agreement, ContextCounts


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ManyToOneOptions:
    """Options of `speclight experiment many-to-one`."""

    profile: Path = Path("out/profile")
    """Folder of a profile: its texts give the contexts, its settings the law."""
    out: Path = Path("out/many-to-one")
    """Folder for the records; a killed run goes on where it stopped when the command is repeated."""
    settings: ManyToOneSettings = field(default_factory=ManyToOneSettings)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def many_to_one(options: ManyToOneOptions = ManyToOneOptions()) -> None:
    """Count the nodes with V <= t below real contexts twice: by search, and from sampled continuations.

    Weighing a sampled node by e^V counts every node once on average, at any context of any model; the
    ergodic bound rests on nothing else. The target must be the one that was profiled.

        speclight experiment many-to-one --profile out/profile --contexts 12
    """
    check_run(options.target, options.out)

    from speclight.measure.profile import read_profile

    measured = read_profile(options.profile)

    from speclight.experiments.many_to_one import agreement, run_many_to_one

    with command_output(options.json) as output:
        target = load_target(options.target)
        with progress_bars() as progress:
            found = run_many_to_one(target, measured, options.settings, options.out, progress)
        if options.json:
            output.write_json(
                {
                    "target": target.name,
                    "temperature": measured.settings.sampling.temperature,
                    "continuations": options.settings.continuations,
                    "folder": options.out,
                    "contexts": [_document(context) for context in found],
                }
            )
        else:
            output.show(_table(found), _summary(agreement(found)), f"records: {options.out}")


def _document(context: ContextCounts) -> dict[str, object]:
    counts = context.counts
    return {
        "prompt_id": context.prompt_id,
        "family": context.family,
        "turn": context.turn,
        "start": context.start,
        "levels_nats": counts.levels.tolist(),
        "exact": counts.exact.tolist(),
        "sampled": counts.sampled.tolist(),
        "standard_error": counts.standard_error.tolist(),
        "z": counts.z_scores.tolist(),
    }


def _table(found: list[ContextCounts]) -> Table:
    from rich.table import Table

    table = Table(title="Nodes with V <= t: searched, and from sampled continuations", title_justify="left")
    table.add_column("context", no_wrap=True)
    for heading in ("t (nats)", "searched", "sampled", "z"):
        table.add_column(heading, justify="right", no_wrap=True)
    for context in found:
        counts = context.counts
        for place, level in enumerate(counts.levels):
            table.add_row(
                f"{context.prompt_id}, turn {context.turn}, token {context.start}" if place == 0 else "",
                f"{level:.2f}",
                f"{counts.exact[place]:.0f}",
                f"{counts.sampled[place]:.2f} \N{PLUS-MINUS SIGN} {counts.standard_error[place]:.2f}",
                f"{counts.z_scores[place]:+.1f}",
            )
    return table


def _summary(found: Agreement) -> str:
    return (
        f"within two standard errors: {found.counts_within} of {found.counts} counts, "
        f"{found.contexts_within} of {found.contexts} contexts in all their counts; largest |z| "
        f"{found.largest:.1f}"
    )
