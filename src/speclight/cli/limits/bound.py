"""`speclight bound`: every statement on the tokens of one call, from two moments or a profile of a target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.limits.bound_output import BudgetBounds, FamilyBounds, document_of, show_bounds
from speclight.cli.options import JsonFlag, parse_budgets
from speclight.cli.output import command_output
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.measure.drafter_limits import DrafterLimits
    from speclight.measure.profile import Profile
    from speclight.theory.bound import Bound
    from speclight.theory.laws.sampled_text import SampledText


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DrafterOptions:
    """What Lemma 7 needs to know of a drafter: how it meets the target, and its own law."""

    cross_entropy: float | None = None
    """Of a drafter, for Lemma 7: mean of -ln q over the target's tokens, 0 where q = 0, nats."""
    miss_probability: float = 0.0
    """Of a drafter, for Lemma 7: probability that it gives the target's token none."""
    drafter_profile: Path | None = None
    """Folder of `speclight drafter-profile`: Lemma 7 in every form, beside what the drafter's trees gave.
    Or a profile of the drafter's own text, with --cross-entropy."""
    drafter_mu: float | None = None
    """Mean entropy of the drafter, nats, for lemma_7_corrected_two_moments; with --drafter-mu2."""
    drafter_mu2: float | None = None
    """Second log-moment of the drafter, nats^2."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class BoundOptions:
    """Options of `speclight bound`."""

    budget: str
    """Node budget P: positions scored in one target call, root included; or several, as 8,16,60."""
    mu: float | None = None
    """Mean entropy of the target's next-token law, nats per token; with --mu2, instead of --profile."""
    mu2: float | None = None
    """Mean of sum p (ln p)^2 over the same contexts, nats^2; at least mu^2."""
    vocabulary: int | None = None
    """Largest number of tokens a context gives positive probability, for leaf_entropy; a profile knows it."""
    profile: Path | None = None
    """Folder of a profile: everything its step laws and texts allow, per family."""
    families: tuple[str, ...] = ()
    """Only these families of the profile; all if not given."""
    strata: int = 4
    """Entropy strata for the stratified ergodic bound and the context types of markov_renewal; 1: none."""
    strata_from: Path | None = None
    """Folder of another profile whose texts choose the strata; the profile's own texts if not given."""
    plot: Path | None = None
    """Also draw all statements over P = 1 .. the largest budget into this .png or .svg file."""
    drafter: DrafterOptions = field(default_factory=DrafterOptions)
    json: JsonFlag = False


def bound(options: BoundOptions) -> None:
    """Bounds on the expected tokens of one target call, from two moments of the target or from a profile.

    Most of them model contexts as i.i.d.; for a real model those are no guarantee, whatever their side. Every
    value carries its assumptions. best_upper is the smallest upper bound, once for a real model and once if
    contexts were i.i.d. With moments and several budgets the line of JSON is an array, one object for each.

        speclight bound --mu 1.5 --mu2 4 --budget 8,16,60
        speclight bound --profile out/profile --budget 60 --plot limits.svg
    """
    budgets = parse_budgets(options.budget)
    _check(options)
    if options.profile is None:
        families = [FamilyBounds("", _from_moments(options, budgets))]
        about = None
    else:
        families, about = _from_profile(options, options.profile, budgets)
    with command_output(options.json) as output:
        if options.plot is not None:
            output.show(f"figure: {_plot(options, options.plot, max(budgets))}")
        if options.json:
            output.write_json(document_of(families, about))
        else:
            show_bounds(output, families)


def _check(options: BoundOptions) -> None:
    moments = (options.mu is not None, options.mu2 is not None)
    if moments not in ((True, True), (False, False)) or moments[0] == (options.profile is not None):
        raise InvalidInput(
            "the bounds need --mu and --mu2, or --profile, and not both; got "
            + (", ".join(_given(options)) or "none of them")
        )
    drafter = options.drafter
    if (drafter.drafter_mu is None) != (drafter.drafter_mu2 is None):
        raise InvalidInput("the drafter's two moments go together; give --drafter-mu and --drafter-mu2")
    measured = _is_drafter_record(drafter.drafter_profile)
    if measured and (drafter.cross_entropy is not None or drafter.drafter_mu is not None):
        raise InvalidInput(
            "the record of `speclight drafter-profile` knows the drafter's moments; leave out "
            "--cross-entropy and --drafter-mu"
        )
    own_law = drafter.drafter_mu is not None or (drafter.drafter_profile is not None and not measured)
    if drafter.cross_entropy is None and (own_law or drafter.miss_probability != 0.0):
        raise InvalidInput("Lemma 7 needs how the drafter meets the target; give --cross-entropy as well")
    if options.strata < 1:
        raise InvalidInput(f"--strata must be at least 1, got {options.strata}; 1 leaves starts unsorted")


def _is_drafter_record(folder: Path | None) -> bool:
    from speclight.measure.drafter_profile import KIND
    from speclight.measure.store import read_plan

    return folder is not None and read_plan(folder).get("kind") == KIND


def _drafter_limits(options: BoundOptions, family: str, budgets: tuple[int, ...]) -> dict[int, DrafterLimits]:
    """Of the family if the record holds it, else of all its families together."""
    from speclight.measure.drafter_limits import REPLICAS, drafter_limits
    from speclight.measure.drafter_profile import read_drafter_profile

    folder = options.drafter.drafter_profile
    if folder is None or not _is_drafter_record(folder):
        return {}
    record = read_drafter_profile(folder)
    record = record.of_family(family) if family in record.families else record
    # A figure asks for many budgets, and shows no intervals.
    shown = parse_budgets(options.budget)
    return {
        budget: drafter_limits(record, budget, replicas=REPLICAS if budget in shown else 0)
        for budget in budgets
    }


def _given(options: BoundOptions) -> list[str]:
    values = {"--mu": options.mu, "--mu2": options.mu2, "--profile": options.profile}
    return [name for name, value in values.items() if value is not None]


def _from_moments(options: BoundOptions, budgets: tuple[int, ...]) -> tuple[BudgetBounds, ...]:
    from speclight.theory.catalogue import bounds_from_moments
    from speclight.theory.trace_bounds import MeasuredBound

    assert options.mu is not None, "checked at the door"
    assert options.mu2 is not None, "checked at the door"
    lemma_7 = _lemma_7(options.drafter)
    drafter = _drafter_limits(options, "", budgets)
    return tuple(
        BudgetBounds(
            budget,
            (
                *(
                    MeasuredBound(bound, None)
                    for bound in (
                        *bounds_from_moments(options.mu, options.mu2, budget, options.vocabulary),
                        *lemma_7(budget),
                    )
                ),
                *(drafter[budget].bounds if drafter else ()),
            ),
            drafter.get(budget),
        )
        for budget in budgets
    )


def _from_profile(
    options: BoundOptions, folder: Path, budgets: tuple[int, ...]
) -> tuple[list[FamilyBounds], dict[str, object]]:
    from speclight.measure.profile import read_profile
    from speclight.measure.store import read_plan

    measured = read_profile(folder)
    unknown = [name for name in options.families if name not in measured.families]
    if unknown:
        raise InvalidInput(
            f"the profile has no family {unknown[0]!r}; choose among: {', '.join(measured.families)}"
        )
    names = [name for name in measured.families if not options.families or name in options.families]
    families = [FamilyBounds(name, _of_family(options, measured, name, budgets)) for name in names]
    known = all(text.likely is not None for text in measured.texts)
    about: dict[str, object] = {
        "target": read_plan(folder)["target"],
        "temperature": measured.settings.sampling.temperature,
        "start_law": "uniform positions",
        "ergodic_from": "full laws" if known else "sampled log-probabilities",
    }
    return families, about


def _of_family(
    options: BoundOptions, measured: Profile, family: str, budgets: tuple[int, ...]
) -> tuple[BudgetBounds, ...]:
    from speclight.theory.ergodic.strata import quantile_strata
    from speclight.theory.trace_bounds import MeasuredBound, bounds_from_traces, starts_shared_by_budgets

    texts = measured.sampled_texts(family)
    strata = quantile_strata(_texts_for_strata(options, texts), options.strata)
    starts = starts_shared_by_budgets(texts, max(budgets))
    lemma_7 = _lemma_7(options.drafter)
    law = measured.step_laws[family]
    drafter = _drafter_limits(options, family, budgets)
    return tuple(
        BudgetBounds(
            budget,
            (
                *bounds_from_traces(law, texts, budget, starts, strata),
                *(MeasuredBound(bound, None) for bound in lemma_7(budget)),
                *(drafter[budget].bounds if drafter else ()),
            ),
            drafter.get(budget),
        )
        for budget in budgets
    )


def _texts_for_strata(options: BoundOptions, own: list[SampledText]) -> list[SampledText]:
    from speclight.measure.profile import read_profile

    if options.strata_from is None:
        return own
    other = read_profile(options.strata_from)
    return [text for family in other.families for text in other.sampled_texts(family)]


def _lemma_7(drafter: DrafterOptions) -> Callable[[int], list[Bound]]:
    """Lemma 7 in every form that what is known of the drafter allows, as a function of the node budget."""
    from functools import reduce

    from speclight.measure.profile import read_profile
    from speclight.theory.iid.lemma_7 import (
        lemma_7_corrected,
        lemma_7_corrected_leading_order,
        lemma_7_corrected_two_moments,
        lemma_7_printed,
    )
    from speclight.theory.laws.step_law import merged

    if drafter.cross_entropy is None:
        return lambda _: []
    on_hits, misses = drafter.cross_entropy, drafter.miss_probability
    law = None
    if drafter.drafter_profile is not None:
        law = reduce(merged, read_profile(drafter.drafter_profile).step_laws.values())

    def forms(budget: int) -> list[Bound]:
        # The paper displays the mean ratio; from these two numbers its conditional reading is what is known.
        found = [
            lemma_7_printed(on_hits / (1.0 - misses) if misses < 1.0 else 0.0, misses, budget),
            lemma_7_corrected_leading_order(on_hits, misses, budget),
        ]
        if law is not None:
            found.append(lemma_7_corrected(on_hits, misses, law, budget))
        if drafter.drafter_mu is not None and drafter.drafter_mu2 is not None:
            found.append(
                lemma_7_corrected_two_moments(
                    on_hits, misses, drafter.drafter_mu, drafter.drafter_mu2, budget
                )
            )
        return found

    return forms


def _plot(options: BoundOptions, path: Path, largest: int) -> str:
    from speclight.experiments.limits.panels import BoundCurve, BoundPanel
    from speclight.experiments.limits.picture import budgets_up_to
    from speclight.report.bounds import write_bound_figure

    budgets = budgets_up_to(largest)
    if options.profile is None:
        families = [FamilyBounds("", _from_moments(options, budgets))]
    else:
        families, _ = _from_profile(options, options.profile, budgets)
    panels: list[BoundPanel] = []
    for family in families:
        curves: list[BoundCurve] = []
        for item in family.budgets[-1].bounds:
            name = item.bound.name
            values = [{m.bound.name: m.bound.value for m in each.bounds} for each in family.budgets]
            if all(name in value for value in values):
                curves.append(BoundCurve(name, item.bound.side, tuple(value[name] for value in values)))
        panels.append(BoundPanel(family.family or "from two moments", budgets, tuple(curves)))
    return write_bound_figure(tuple(panels), path).as_posix()
