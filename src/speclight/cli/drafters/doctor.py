"""`speclight doctor`: why a drafting head is accepted so rarely, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.checks import whole_number
from speclight.cli.options import JsonFlag, TargetOptions, check_target, load_target
from speclight.cli.output import command_output
from speclight.errors import CorruptWeights, InvalidInput, ModelNotFound

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.drafting.eagle3.doctor import Diagnosis

SHIPPED = "shipped"
EXIT_FAULT = 1
EXIT_UNREADABLE = 2  # as for any other input that cannot be used


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """Options of `speclight doctor`."""

    prompts: int = 64
    """How many of the shipped prompts the target answers, 6 to 64: what is tested over."""
    max_tokens: int = 32
    """Tokens of each answer at the most."""
    seed: int = 0
    """Seed of the answers."""
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def doctor(head: str = SHIPPED, /, *, options: DoctorOptions = DoctorOptions()) -> None:
    """Check an EAGLE-3 head against its target, and try every neighbouring convention on the same texts.

    Of prompts with several turns the first is answered. The last line says what is wrong, if anything is, and
    how to mend it. Exits with 0 for a head without fault, with 1 for a fault found, with 2 for a head that
    cannot be read.

        speclight doctor HEAD --target FOLDER

    Args:
        head: Folder of an EAGLE-3 head in any dialect, or shipped for the one that comes with speclight.
        options: See DoctorOptions.
    """
    check_target(options.target)
    if head != SHIPPED and not Path(head).expanduser().exists():
        raise InvalidInput(f"got the head {head!r}, expected a folder; there is no such folder")
    if head != SHIPPED and not (Path(head).expanduser() / "config.json").is_file():
        raise ModelNotFound(f"got the head {head!r}, expected a folder with config.json; give that folder")
    turns = examined_turns(options.prompts)
    if options.max_tokens < 1:
        raise InvalidInput(f"--max-tokens must be at least 1, got {options.max_tokens}")
    whole_number("seed", options.seed, at_least=0)

    from speclight.drafting.eagle3.doctor import diagnose
    from speclight.drafting.eagle3.shipped import head_for

    with command_output(options.json) as output:
        target = load_target(options.target)
        try:
            loaded = head_for(target, None if head == SHIPPED else head)
        except CorruptWeights as error:
            verdict = f"cannot be read: {error}"
            output.show(verdict)
            if options.json:
                output.write_json({"verdict": verdict, "lines": [], "findings": []})
            raise SystemExit(EXIT_UNREADABLE) from error
        diagnosis = diagnose(loaded, target, turns, options.max_tokens, options.seed)
        output.show(
            *loaded.lines(),
            f"eps, the target's probability outside the draft vocabulary: {diagnosis.miss_probability:.4f}",
            _table(diagnosis),
            diagnosis.verdict,
        )
        if options.json:
            output.write_json(_document(loaded.lines(), diagnosis))
    if diagnosis.has_fault:
        raise SystemExit(EXIT_FAULT)


def examined_turns(count: int) -> list[str]:
    """The first `count` of the shipped prompts, families in turn. Raises InvalidInput for too few or many."""
    from speclight.measure.prompts import FAMILIES, shipped_prompts

    if count < 6:
        raise InvalidInput(f"--prompts must be at least 6 for the test to have power, got {count}")
    # Long prompts cost time and add no texts to test over.
    by_family = [shipped_prompts([family]) for family in FAMILIES if family != "summarisation"]
    turns = [prompt.turns[0] for row in zip(*by_family, strict=True) for prompt in row]
    if count > len(turns):
        raise InvalidInput(f"--prompts must be at most {len(turns)}, got {count}")
    return turns[:count]


def _table(diagnosis: Diagnosis) -> Table:
    from rich.table import Table

    from speclight.drafting.eagle3.doctor import SIGNIFICANCE

    table = Table(title=f"acceptance of one draft; as loaded {diagnosis.acceptance:.3f}")
    for column in ("read as", "acceptance", "gain, nats", f"better (level {SIGNIFICANCE:g})"):
        table.add_column(column)
    for finding in diagnosis.findings:
        better = f"yes, p = {finding.p_value:.1e}" if finding.is_better else "no"
        table.add_row(finding.name, f"{finding.acceptance:.3f}", f"{finding.gain:+.3f}", better)
    return table


def _document(lines: tuple[str, ...], diagnosis: Diagnosis) -> dict[str, object]:
    return {
        "verdict": diagnosis.verdict,
        "lines": lines,
        "acceptance": diagnosis.acceptance,
        "readings": len(diagnosis.findings),
        "miss_probability": diagnosis.miss_probability,
        "template_differs": diagnosis.template_differs,
        "template_gain": diagnosis.template_gain,
        "findings": [
            {
                "name": finding.name,
                "remedy": finding.remedy,
                "acceptance": finding.acceptance,
                "gain": finding.gain,
                "p_value": finding.p_value,
                "is_better": finding.is_better,
            }
            for finding in diagnosis.findings
        ],
    }
