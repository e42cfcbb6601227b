"""`speclight experiment limits-test`: how well limits are known, on the reader's own question files."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, TargetOptions, check_run, load_target
from speclight.cli.output import command_output, write_tables
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput
from speclight.experiments.limits.settings import LimitsTestSettings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsTestOptions:
    """Options of `speclight experiment limits-test`."""

    questions: tuple[Path, ...]
    """Question files (JSON lines), or folders of them; each file is a family."""
    out: Path = Path("out/limits-test")
    """Folder for the records; a killed run goes on where it stopped when the command is repeated."""
    settings: LimitsTestSettings = field(default_factory=LimitsTestSettings)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def limits_test(options: LimitsTestOptions) -> None:
    """Split the error of limits into estimator, Jensen's gap, prompts and decode, on the same texts.

    At contexts along sampled texts the best tree is searched with the target itself, and the target goes on
    anew several times: estimates and exact values are compared context by context. Other prompts are a claim
    about coverage, over random halvings. At decode level the decode bound and the trace walk stand beside an
    oracle decode of the same texts. The tables are Markdown, and written to tables.md beside the records.

        speclight experiment limits-test --questions questions.jsonl --budget 16,60
    """
    check_run(options.target, options.out)
    files = _question_files(options.questions)

    from speclight.experiments.limits.run import run_limits_test
    from speclight.experiments.question_files import read_question_files
    from speclight.report.limits import draw, markdown

    families = read_question_files(files, options.settings.prompts_per_file)
    with command_output(options.json) as output:
        target = load_target(options.target)
        with progress_bars() as progress:
            result = run_limits_test(target, families, options.settings, options.out, progress)
        tables = markdown(result)
        write_tables(options.out, tables)
        figure = draw(result, options.out / "predicted-over-measured.svg")
        if options.json:
            output.write_json({**asdict(result), "folder": options.out})
        else:
            output.show(tables, f"\nrecords: {options.out}, figure: {figure}")


def _question_files(given: tuple[Path, ...]) -> tuple[Path, ...]:
    files: list[Path] = []
    for path in given:
        if not path.exists():
            raise InvalidInput(
                f"cannot read {path}, expected a question file or a folder; there is no such file"
            )
        inside = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not inside:
            raise InvalidInput(f"{path} holds no .jsonl file; give question files or a folder of them")
        files += inside
    return tuple(files)
