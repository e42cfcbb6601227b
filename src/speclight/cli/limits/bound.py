"""`speclight bound`: every statement on the tokens of one call, from two moments or a profile of a target."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.cli.limits.bound_output import BudgetBounds, FamilyBounds, document_of, show_bounds
from speclight.cli.options import JsonFlag, check_budgets, check_picture
from speclight.cli.output import command_output
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.measure.drafter_profile import DrafterProfile
    from speclight.measure.estimates import Estimate
    from speclight.measure.known_family import KnownFamily
    from speclight.measure.profile import Profile
    from speclight.theory.iid.known_drafter import KnownDrafter
    from speclight.theory.known import Known
    from speclight.theory.log_prob_limits import Limits


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

    node_budgets: tuple[int, ...]
    """Node budget P: positions scored in one target call, root included; or several, as 8,16,60."""
    mu: float | None = None
    """Mean entropy of the target's next-token law, nats per token; with --mu2, instead of --profile."""
    mu2: float | None = None
    """Mean of sum p (ln p)^2 over the same contexts, nats^2; at least mu^2."""
    vocabulary: int | None = None
    """Largest number of tokens a context gives positive probability, for leaf_entropy; a profile knows it."""
    profile: Path | None = None
    """Folder of a profile: everything its step laws and texts allow, per family."""
    log_probs: Path | None = None
    """A file of sampled texts instead: answers of an engine or API with log-probabilities as JSON or JSON
    lines, objects with tokens and log_probs, or a Parquet table with prompt_id and log_prob."""
    length_limit: int | None = None
    """The most tokens that texts of --log-probs could have (max_tokens); not known if not given."""
    families: tuple[str, ...] = ()
    """Only these families of the profile; all if not given."""
    together: Annotated[bool, Parameter(negative="")] = False
    """Take the families as one: the limit of a load that mixes them as the profile does."""
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

    From a profile, the first line is the interval in which the limit of whole decodes lies: a decode that
    exists reaches its lower end, no decode exceeds its upper one. Everything after it is of one call at
    uniform positions, which is another quantity. Most of those bounds model contexts as i.i.d.; for a real
    model those are no guarantee, whatever their side. Every value carries its assumptions. best_upper is the
    smallest upper bound, once for a real model and once if contexts were i.i.d. With moments and several
    budgets the line of JSON is an array, one object for each.

        speclight bound --mu 1.5 --mu2 4 --budget 8,16,60
        speclight bound --profile out/profile --budget 60 --plot limits.svg
        speclight bound --log-probs answers.jsonl --length-limit 256 --budget 8,64
    """
    budgets = options.node_budgets
    check_budgets(budgets)
    if options.plot is not None:
        check_picture("--plot", options.plot)
    _check(options)
    known, about = _known(options, max(budgets))
    families = [
        FamilyBounds(
            item.family,
            tuple(
                BudgetBounds(
                    budget,
                    item.known.bounds(budget),
                    _drafter_tokens(item.record, budget),
                    _of_decodes(item.known, budget),
                )
                for budget in budgets
            ),
        )
        for item in known
    ]
    with command_output(options.json) as output:
        if options.plot is not None:
            output.show(f"figure: {_plot(known, options.plot, max(budgets))}")
        if options.json:
            output.write_json(document_of(families, about))
        else:
            show_bounds(output, families)


def _check(options: BoundOptions) -> None:
    moments = (options.mu is not None, options.mu2 is not None)
    sources = [moments[0], options.profile is not None, options.log_probs is not None]
    if moments not in ((True, True), (False, False)) or sum(sources) != 1:
        raise InvalidInput(
            "the bounds need --mu and --mu2, or --profile, or --log-probs, and not several; got "
            + (", ".join(_given(options)) or "none of them")
        )
    if options.length_limit is not None and options.log_probs is None:
        raise InvalidInput("--length-limit is of the texts in a file; give --log-probs as well")
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
    if options.together and options.profile is None:
        raise InvalidInput("--together joins the families of a profile; give --profile as well")
    if options.strata < 1:
        raise InvalidInput(f"--strata must be at least 1, got {options.strata}; 1 leaves starts unsorted")


def _is_drafter_record(folder: Path | None) -> bool:
    if folder is None:
        return False

    from speclight.measure.profile import KIND
    from speclight.measure.store import read_plan

    return read_plan(folder)["kind"] != KIND  # a profile is of the drafter's own text


def _given(options: BoundOptions) -> list[str]:
    values = {
        "--mu": options.mu,
        "--mu2": options.mu2,
        "--profile": options.profile,
        "--log-probs": options.log_probs,
    }
    return [name for name, value in values.items() if value is not None]


def _known(options: BoundOptions, largest: int) -> tuple[list[KnownFamily], dict[str, object] | None]:
    """What the options tell, and a description of the profile if there is one; every folder is read once.

    What reads folders is imported where there are some: from two numbers a bound takes no seconds.
    """
    from speclight.measure.known_family import KnownFamily
    from speclight.theory.known import Known, Moments

    folder = options.drafter.drafter_profile
    record = None
    if folder is not None and _is_drafter_record(folder):
        from speclight.measure.drafter_profile import read_drafter_profile

        record = read_drafter_profile(folder)
    drafter = _drafter_from_numbers(options.drafter)
    if options.log_probs is not None:
        return _known_from_file(options, options.log_probs, largest, drafter, record)
    if options.profile is None:
        assert options.mu is not None, "checked at the door"
        assert options.mu2 is not None, "checked at the door"
        known = Known(Moments(options.mu, options.mu2), options.vocabulary, drafter=drafter)
        if record is None:
            return [KnownFamily("", known)], None

        from speclight.measure.known_families import with_drafter_record

        return [with_drafter_record(known, record)], None

    from speclight.measure.profile import read_profile

    measured = read_profile(options.profile)
    measured.settings.check_entropy()

    from speclight.measure.known_families import as_one_family, known_families

    if options.together:
        measured = as_one_family(measured, options.families)
    families = known_families(
        measured,
        largest,
        families=() if options.together else options.families,
        strata=options.strata,
        strata_from=None if options.strata_from is None else read_profile(options.strata_from),
        drafter=drafter,
        record=record,
    )
    return families, _about(options.profile, measured)


def _known_from_file(
    options: BoundOptions,
    file: Path,
    largest: int,
    drafter: KnownDrafter | None,
    record: DrafterProfile | None,
) -> tuple[list[KnownFamily], dict[str, object]]:
    from speclight.engines.text_files import sampled_texts
    from speclight.measure.known_families import with_drafter_record
    from speclight.theory.ergodic.strata import quantile_strata
    from speclight.theory.known import known_from_texts

    texts = sampled_texts(file, options.length_limit)
    strata = quantile_strata(texts, options.strata)
    known = known_from_texts(texts, largest, strata=strata, drafter=drafter)
    return [with_drafter_record(known, record, file.stem)], {
        "texts": file.name,
        "start_law": "uniform positions",
        "ergodic_from": "sampled log-probabilities",
    }


def _drafter_tokens(record: DrafterProfile | None, budget: int) -> Estimate | None:
    """Tokens per call of the recorded drafter's trees; None without a record."""
    if record is None:
        return None

    from speclight.measure.drafter_limits import measured_tokens

    return measured_tokens(record, budget)


def _of_decodes(known: Known, budget: int) -> Limits | None:
    from speclight.theory.log_prob_limits import limits_of_texts

    return limits_of_texts(known.texts, budget, known.vocabulary_size) if known.texts else None


def _about(folder: Path, measured: Profile) -> dict[str, object]:
    from speclight.measure.store import read_plan

    known = all(text.likely is not None for text in measured.texts)
    return {
        "target": read_plan(folder)["target"],
        "temperature": measured.settings.sampling.temperature,
        "start_law": "uniform positions",
        "ergodic_from": "full laws" if known else "sampled log-probabilities",
    }


def _drafter_from_numbers(drafter: DrafterOptions) -> KnownDrafter | None:
    from speclight.theory.iid.known_drafter import OwnMoments, drafter_from_numbers

    if drafter.cross_entropy is None:
        return None
    law = None
    if drafter.drafter_profile is not None:
        from functools import reduce

        from speclight.measure.profile import read_profile
        from speclight.theory.laws.step_law import merged

        law = reduce(merged, read_profile(drafter.drafter_profile).step_laws.values())
    own = None
    if drafter.drafter_mu is not None and drafter.drafter_mu2 is not None:
        own = OwnMoments(drafter.drafter_mu, drafter.drafter_mu2)
    return drafter_from_numbers(drafter.cross_entropy, drafter.miss_probability, law, own)


def _plot(known: list[KnownFamily], path: Path, largest: int) -> str:
    from speclight.experiments.limits.panels import budgets_up_to, panel_of_bounds
    from speclight.report.bounds import write_bound_figure

    budgets = budgets_up_to(largest)
    panels = tuple(
        panel_of_bounds(
            item.family or "from two moments",
            budgets,
            [item.without_intervals().known.bounds(budget) for budget in budgets],
        )
        for item in known
    )
    return write_bound_figure(panels, path).as_posix()
