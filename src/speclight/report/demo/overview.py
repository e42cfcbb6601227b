"""The report's first table, one row per family: what belongs to a family, looked up in the record."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.experiments.demo.record import DecodingSummary, DemoRecord, FamilyLimits, FamilyProfile


@dataclass(frozen=True, slots=True)
class FamilyOverview:
    """One family's profile, its limits at the headline's temperature, and its runs.

    decodings: one per temperature of `Overview.temperatures`. None stands for what was not measured.
    """

    family: str
    profile: FamilyProfile | None
    limits: FamilyLimits | None
    decodings: tuple[DecodingSummary | None, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """The rows, in the record's order, and the temperatures that the runs were made at, low to high."""

    temperatures: tuple[float, ...]
    families: tuple[FamilyOverview, ...]


def overview(record: DemoRecord) -> Overview:
    """Every family of the record with the runs of the headline's drafter at the headline's node budget."""
    runs = [
        run
        for run in record.decodings
        if run.drafter == record.headline.drafter and run.node_budget == record.headline.node_budget
    ]
    temperatures = tuple(sorted({run.temperature for run in runs}))
    names = dict.fromkeys(part.family for part in (*record.profiles, *record.limits, *runs))
    return Overview(
        temperatures=temperatures,
        families=tuple(
            FamilyOverview(
                family=name,
                profile=next((profile for profile in record.profiles if profile.family == name), None),
                limits=next(
                    (
                        limits
                        for limits in record.limits
                        if limits.family == name and limits.temperature == record.headline.temperature
                    ),
                    None,
                ),
                decodings=tuple(
                    next((run for run in runs if run.family == name and run.temperature == temperature), None)
                    for temperature in temperatures
                ),
            )
            for name in names
        ),
    )
