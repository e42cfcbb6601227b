"""`speclight experiment doctor-faults`: what the doctor finds in a head with planted faults."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from cyclopts import Parameter

from speclight.cli.drafters.doctor import examined_turns
from speclight.cli.options import JsonFlag, TargetOptions, check_target, load_target
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFaultsOptions:
    """Options of `speclight experiment doctor-faults`."""

    prompts: int = 64
    """How many of the shipped prompts the target answers, 6 to 64: what is tested over."""
    max_tokens: int = 32
    """Tokens of each answer at the most."""
    seed: int = 0
    """Seed of the answers."""
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def doctor_faults(options: DoctorFaultsOptions = DoctorFaultsOptions()) -> None:
    """Plant six faults in the shipped head: does the doctor find each, and none in the good head?

    The target answers the prompts once for all heads, and once more under another chat template.

        speclight experiment doctor-faults --prompts 64 --threads 1
    """
    check_target(options.target)
    turns = examined_turns(options.prompts)
    if options.max_tokens < 1:
        raise InvalidInput(f"--max-tokens must be at least 1, got {options.max_tokens}")

    from speclight.experiments.drafters.planted_faults import examine_faults

    with command_output(options.json) as output:
        target = load_target(options.target)
        with progress_bars() as progress:
            verdicts = examine_faults(target, turns, options.max_tokens, options.seed, progress)
        if options.json:
            output.write_json({"target": target.name, "faults": [asdict(verdict) for verdict in verdicts]})
        else:
            output.show(*(f"{verdict.fault}: {verdict.verdict}" for verdict in verdicts))
