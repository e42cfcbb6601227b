"""`speclight drafter-profile`: what Lemma 7 asks about a drafter, and what its trees give, on real text."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.cli.flags import without
from speclight.cli.limits.bound_output import bound_document, interval_of
from speclight.cli.options import (
    JsonFlag,
    TargetOptions,
    check_run,
    load_target,
    read_drafter_option,
)
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.measure.drafter_profile_settings import DrafterProfileSettings

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.measure.drafter_limits import DrafterLimits
    from speclight.measure.drafter_profile import DrafterProfile
    from speclight.measure.estimates import Estimate


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DrafterProfileOptions:
    """Options of `speclight drafter-profile`."""

    drafter: str = "eagle3"
    """Who drafts, as NAME or NAME=WEIGHTS: eagle3, medusa, ngram, model, layer_skip, two_stage. WEIGHTS: a
    folder, a .gguf file, or a hub id."""
    layers: int | None = None
    """How many of the target's first layers draft, for layer_skip and two_stage."""
    profile: Path = Path("out/profile")
    """Folder of a profile of the target: the drafter is laid over its texts, under its law."""
    out: Path = Path("out/drafter-profile")
    """Folder for the records; a killed run goes on where it stopped when the command is repeated."""
    settings: Annotated[DrafterProfileSettings, without("node_budget")] = field(
        default_factory=DrafterProfileSettings
    )
    node_budgets: tuple[int, ...] = (16, 60)
    """Node budgets P to show, as 16,60; trees are grown to the largest, and starts need as many tokens."""
    seed: int = 0
    """Seed of the bootstrap over prompts."""
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def drafter_profile(options: DrafterProfileOptions = DrafterProfileOptions()) -> None:
    """Measure a drafter against its target along the target's own text, and show Lemma 7 beside the truth.

    Miss probability and cross-entropy of the pair, the drafter's own step law, and the tokens per call of its
    best-first trees at the same starts. `speclight bound --drafter-profile` shows them beside other limits.

        speclight drafter-profile --profile out/profile --drafter eagle3 --budget 16,60
    """
    _checked(options)

    from speclight.measure.profile import read_profile

    settings = replace(options.settings, node_budget=max(options.node_budgets))
    measured = read_profile(options.profile)

    from speclight.drafting.chosen_drafters import ComparedDrafter
    from speclight.drafting.drafter_names import name_and_weights
    from speclight.measure.drafter_limits import drafter_limits
    from speclight.measure.drafter_profile_run import run_drafter_profile

    with command_output(options.json) as output:
        target = load_target(options.target)
        drafter = ComparedDrafter(*name_and_weights(options.drafter), options.layers)
        with progress_bars() as progress:
            record = run_drafter_profile(target, drafter, measured, settings, options.out, progress)
        limits = {
            family: drafter_limits(record.of_family(family), options.node_budgets, options.seed)
            for family in record.families
        }
        if options.json:
            output.write_json(
                {
                    "target": target.name,
                    "drafter": record.drafter,
                    "temperature": record.sampling.temperature,
                    "start_law": "uniform positions",
                    "folder": options.out,
                    "families": {
                        family: _document(record.of_family(family), items) for family, items in limits.items()
                    },
                }
            )
        else:
            output.show(_table(record.drafter, limits), *_by_depth(record), f"records: {options.out}")


def _checked(options: DrafterProfileOptions) -> None:
    """A look at everything that can be wrong before something is loaded."""
    check_run(options.target, options.out, node_budgets=options.node_budgets)
    read_drafter_option(options.drafter, options.layers)


def _document(record: DrafterProfile, items: tuple[DrafterLimits, ...]) -> dict[str, object]:
    """One family as JSON; record: of its starts alone."""
    from speclight.measure.drafter_depths import chain_coupling, moments_by_depth

    return {
        "starts": len(record.starts),
        "limits": [limits_document(item) for item in items],
        "by_depth": [
            {
                "depth": item.depth,
                "starts": item.starts,
                "miss_probability": estimate_document(item.miss_probability),
                "cross_entropy_on_hits_nats": estimate_document(item.cross_entropy_on_hits),
            }
            for item in moments_by_depth(record)
        ],
        "chain_coupling_bound": estimate_document(chain_coupling(record)),
    }


def estimate_document(estimate: Estimate) -> dict[str, object]:
    """A measured mean as JSON."""
    return {
        "value": estimate.value,
        "standard_error": estimate.standard_error,
        "low": estimate.low,
        "high": estimate.high,
    }


def limits_document(limits: DrafterLimits) -> dict[str, object]:
    """Lemma 7 at one node budget as JSON."""
    measured = limits.measured
    return {
        "node_budget": limits.node_budget,
        "miss_probability": limits.moments.miss_probability,
        "cross_entropy_on_hits_nats": limits.moments.cross_entropy_on_hits,
        "mean_ratio_nats": limits.moments.mean_ratio,
        "measured_tokens_per_call": estimate_document(measured),
        "bounds": [bound_document(item) for item in limits.bounds],
    }


def _by_depth(record: DrafterProfile) -> list[str]:
    """What the root's numbers leave out: a head drafts worse the deeper it is, fed with its own states."""
    from speclight.measure.drafter_depths import chain_coupling, moments_by_depth

    lines = ["by depth of a chain along the text: misses, -ln q on hits"]
    lines += [
        f"  {item.depth}: {item.miss_probability.value:.3f}, {item.cross_entropy_on_hits.value:.3f} nats"
        for item in moments_by_depth(record)
    ]
    most = chain_coupling(record)
    error = "" if most.standard_error is None else f" \N{PLUS-MINUS SIGN} {most.standard_error:.2g}"
    return [*lines, f"most of any lossless rule with these chains: {most.value:.3f}{error} tokens per call"]


def _table(drafter: str, limits: dict[str, tuple[DrafterLimits, ...]]) -> Table:
    from rich.table import Table

    table = Table(title=f"{drafter} against its target: tokens of one target call", title_justify="left")
    table.add_column("family", no_wrap=True)
    for heading in ("P", "misses", "-ln q on hits", "measured"):
        table.add_column(heading, justify="right", no_wrap=True)
    first = next(iter(limits.values()))[0]
    for item in first.bounds:
        table.add_column(item.name, justify="right")
    for family, items in limits.items():
        for item in items:
            high, value = item.measured.high, item.measured.value
            table.add_row(
                family,
                str(item.node_budget),
                f"{item.moments.miss_probability:.3f}",
                f"{item.moments.cross_entropy_on_hits:.3f} nats",
                f"{value:.2f}" + ("" if high is None else f" \N{PLUS-MINUS SIGN} {high - value:.2f}"),
                *(f"{bound.value:.2f}{interval_of(bound)}" for bound in item.bounds),
            )
    return table
