"""`speclight demo`: the main job, from a target to its speed-of-light report."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from speclight.checks import whole_number
from speclight.cli.options import (
    JsonFlag,
    PromptOptions,
    TargetOptions,
    check_run,
    load_target,
    read_prompt_options,
)
from speclight.cli.output import command_output
from speclight.cli.progress import progress_bars

if TYPE_CHECKING:
    from speclight.experiments.demo.record import DemoRecord


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """Options of `speclight demo`."""

    out: Path | None = None
    """Folder of the report and its records; out/demo, or out/demo-quick, if not given."""
    quick: Annotated[bool, Parameter(negative="")] = False
    """A smaller run of about two minutes: fewer prompts, shorter texts, smaller trees."""
    seed: int = 0
    """Seed of all randomness."""
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def demo(options: DemoOptions = DemoOptions()) -> None:
    """Measure a target's speed-of-light on real prompts and write the report.

    One trace, in records/trace below the folder, gives its entropy, limits over node budgets, the true limit
    and the drafter beside it; lossless speculative decoding is timed beside plain decoding. Ends stdout with
    one line of JSON, with or without --json.

        speclight demo --quick
        speclight demo --target FOLDER --prompts questions.jsonl --out out/demo
    """
    out = options.out or Path("out/demo-quick" if options.quick else "out/demo")
    check_run(options.target, out)
    whole_number("seed", options.seed, at_least=0)
    prompts = read_prompt_options(options.prompts)

    from speclight.experiments.demo.run import demo_settings, run_demo
    from speclight.measure.store import sole_writer
    from speclight.report.demo.html import write_report
    from speclight.report.demo.record_file import write_json
    from speclight.report.demo.terminal import terminal_table

    with command_output(options.json) as output, sole_writer(out):
        target = load_target(options.target)
        settings = demo_settings(target, quick=options.quick, seed=options.seed)
        with progress_bars() as progress:
            record = run_demo(target, prompts, settings, out / "records", sys.argv[1:], progress)
        write_json(record, out / "report.json")
        page = write_report(record, out)
        output.show(terminal_table(record), f"report: {page}")
        output.write_json(_document(record, page))


def _document(record: DemoRecord, page: Path) -> dict[str, object]:
    headline, speed, limit = record.headline, record.headline.speed_up, record.speed_limit
    return {
        "target": record.target,
        "report": page,
        "node_budget": headline.node_budget,
        "temperature": headline.temperature,
        "drafter": headline.drafter,
        "expected_tokens_per_call": headline.expected_tokens_per_call.value,
        "measured_tokens_per_call": headline.measured_tokens_per_call.value,
        "limit_tokens_per_call": headline.limit_tokens_per_call.value,
        "share_of_limit": headline.share_of_limit.value,
        "share_of_limit_interval": [headline.share_of_limit.low, headline.share_of_limit.high],
        "speed_up": speed.estimate.value,
        "speed_up_interval": [speed.estimate.low, speed.estimate.high],
        "speed_verdict": speed.verdict,
        "limit_tokens_per_second": limit.limit.value,
        "limit_tokens_per_second_upper": None if isnan(limit.limit.upper) else limit.limit.upper,
        "drafter_tokens_per_second": limit.drafters[headline.drafter],
        "plain_tokens_per_second": limit.plain_tokens_per_second,
        "machine_is_shared": record.load.is_shared,
        "seconds": record.provenance.seconds,
        "peak_memory_mib": record.provenance.peak_memory_mib,
    }
