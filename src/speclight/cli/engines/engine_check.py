"""`speclight engine-check`: what an endpoint returns and means."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.engines.options import EngineOptions, engine_client, rendering
from speclight.cli.options import JsonFlag
from speclight.cli.output import command_output
from speclight.cli.progress import waiting

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.engines.checks import Finding

# Exit code where an answer cannot be used for any limit.
EXIT_UNUSABLE = 1


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCheckOptions:
    """Options of `speclight engine-check`."""

    server: EngineOptions = field(default_factory=EngineOptions)
    json: JsonFlag = False


def engine_check(url: str | None = None, /, options: EngineCheckOptions = EngineCheckOptions()) -> None:
    """Ask an inference server what its log-probabilities mean and what can be trusted for which limit.

    Some twenty short requests: token ids or texts, temperature of the law stated, sampling defaults, how
    many likeliest tokens, log-probabilities under speculation, seeds. Exits with 1 if something forbids a
    profile.

        speclight engine-check http://127.0.0.1:8000
    """
    from dataclasses import replace

    from speclight.engines.checks import Trust, check_engine, example_prompt

    server = replace(options.server, engine=url or options.server.engine)
    with command_output(options.json) as output:
        with engine_client(server) as client, waiting("asking the server"):
            findings = check_engine(client, example_prompt(client, rendering(server)))
            about = {"dialect": client.dialect.name, "model": client.model}
        if options.json:
            output.write_json({**about, "findings": [asdict(finding) for finding in findings]})
        else:
            output.show(f"{about['model']} on {about['dialect']}", _table(findings))
            output.show(*[f"{one.name}: {one.remedy}" for one in findings if one.remedy])
    if any(finding.trust is Trust.UNUSABLE for finding in findings):
        raise SystemExit(EXIT_UNUSABLE)


def _table(findings: list[Finding]) -> Table:
    from rich.table import Table

    table = Table()
    for heading in ("asked", "found", "trust", "what it means"):
        table.add_column(heading)
    for finding in findings:
        table.add_row(finding.name, finding.found, finding.trust, finding.meaning)
    return table
