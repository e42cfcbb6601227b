"""`speclight gap --imported`: an engine's own metrics beside the limits of the model that it serves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.checks import whole_number
from speclight.cli.engines.options import check_installed
from speclight.cli.output import Output

if TYPE_CHECKING:
    from speclight.advice.served_gap import ServedGap


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ServedOptions:
    """Which deployment; a field of GapOptions."""

    imported: Path | None = None
    """What an engine wrote of its speculation, as `speclight import` reads it; nothing is decoded then."""
    before: Path | None = None
    """With --imported: an earlier scrape of the same server's /metrics; the difference is read."""
    profile: Path = Path("out/profile")
    """With --imported: folder of a profile of the model served, for its limits."""
    drafted: int | None = None
    """With --imported: tokens drafted in a step, K, where the file does not say."""


def show_served(options: ServedOptions, output: Output, *, as_json: bool) -> None:
    """Read the file and the profile, and say how far the deployment is from chain and tree limits."""
    check_installed()
    assert options.imported is not None, "asked for by --imported"
    if options.drafted is not None:
        whole_number("drafted", options.drafted)

    from speclight.advice.served_gap import served_gap
    from speclight.engines.reports.read import read_report
    from speclight.measure.profile import read_profile

    reports = read_report(options.imported, options.before)
    profile = read_profile(options.profile)
    texts = [text for family in profile.families for text in profile.sampled_texts(family)]
    found = [served_gap(report, texts, options.drafted) for report in reports]
    sampling = profile.settings.sampling
    of_texts = (
        f"Limits of {len({text.prompt_id for text in texts})} prompts at temperature "
        f"{sampling.temperature:g}, deterministic drafts; they hold for such prompts and this temperature."
    )
    if as_json:
        output.write_json({"temperature": sampling.temperature, "reports": [_document(gap) for gap in found]})
        return
    output.show(*(gap.sentence for gap in found), "", of_texts)
    output.show(*dict.fromkeys(f"note: {text}" for gap in found for text in gap.report.cautions))


def _document(gap: ServedGap) -> dict[str, object]:
    return {
        "engine": gap.report.engine,
        "source": gap.report.source,
        "label": gap.report.label,
        "tokens_per_step": gap.emitted,
        "over_all_steps": gap.over_all_steps,
        "drafted": gap.drafted,
        "chain_certified": asdict(gap.chains.certified),
        "chain_limit": asdict(gap.chains.upper),
        "tree_certified": asdict(gap.tree_certified),
        "tree_limit": asdict(gap.tree_limit),
        "sentence": gap.sentence,
    }
