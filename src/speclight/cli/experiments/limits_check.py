"""`speclight experiment limits-check`: every recorded decode beside the limit that it cannot exceed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from cyclopts import Parameter

from speclight.cli.options import JsonFlag
from speclight.cli.output import command_output
from speclight.errors import InvalidInput

EXIT_EXCEEDED = 1


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsCheckOptions:
    """Options of `speclight experiment limits-check`."""

    json: JsonFlag = False


def limits_check(*records: Path, options: LimitsCheckOptions = LimitsCheckOptions()) -> None:
    """Check what was recorded below some folders against its limits, without a model.

    Decodes with deterministic drafts stay below the upper confidence limit of the decode bound, drafted trees
    below the best tree at each start, chains of samples below the coupling bound. Exits with 1 if anything
    lies above its limit: then decode or bound has a bug.

        speclight experiment limits-check out
    """
    if not records:
        raise InvalidInput("got no folder, expected at least one that a command recorded into; name it")
    for folder in records:
        if not folder.is_dir():
            raise InvalidInput(f"cannot read {folder}, expected a folder of records; there is no such folder")

    from speclight.experiments.limits.recorded import check_records
    from speclight.report.recorded_limits import recorded_limits_markdown

    with command_output(options.json) as output:
        found = check_records(records)
        if options.json:
            checks = [{**asdict(check), "exceeds": check.exceeds} for check in found.checks]
            output.write_json({"checks": checks, "unchecked": [asdict(each) for each in found.unchecked]})
        else:
            output.show(recorded_limits_markdown(found))
    if found.exceeding:
        raise SystemExit(EXIT_EXCEEDED)
