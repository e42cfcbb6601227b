"""`speclight experiment limits-picture`: the picture of all limits in the documentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, check_budgets, check_picture
from speclight.cli.output import command_output


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsPictureOptions:
    """Options of `speclight experiment limits-picture`."""

    out: Path = Path("out/limits.svg")
    """The .svg or .png file to write."""
    node_budget: int = 256
    """Largest node budget of the two synthetic sources."""
    profile: Path | None = None
    """Folder of a profile, for a third panel with a real target; the first family is shown."""
    oracle: Path | None = None
    """Folder of an oracle run or trace of the same family, for the true limit in that panel."""
    json: JsonFlag = False


def limits_picture(options: LimitsPictureOptions = LimitsPictureOptions()) -> None:
    """Draw every limit over the node budget: one source with i.i.d. contexts, one with correlated ones.

    Black is the best possible tokens per call: simulated for the two sources, searched with the target itself
    for the third panel.

        speclight experiment limits-picture --out limits.svg --profile out/profile
    """
    check_budgets((options.node_budget,))
    check_picture("--out", options.out)

    from speclight.measure.profile import read_profile

    measured = None if options.profile is None else read_profile(options.profile)

    from speclight.experiments.limits.picture import synthetic_panels, target_panel
    from speclight.measure.trace.record import read_trace
    from speclight.report.bounds import write_bound_figure

    with command_output(options.json) as output:
        panels = synthetic_panels(options.node_budget)
        if measured is not None:
            searched = None if options.oracle is None else read_trace(options.oracle)
            largest = options.node_budget if searched is None else searched.settings.largest_budget
            family = measured.families[0]
            title = f"{family}, T = {measured.settings.sampling.temperature:g}"
            panels = (*panels, target_panel(measured, searched, family, title, largest))
        figure = write_bound_figure(panels, options.out)
        output.show(f"figure: {figure.as_posix()}")
        if options.json:
            output.write_json({"figure": figure, "panels": len(panels)})
