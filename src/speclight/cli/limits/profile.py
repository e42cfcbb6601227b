"""`speclight profile`: the entropy profile of a target along its own text."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.engines.options import EngineOptions, check_server, engine_client, rendering
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
from speclight.measure.profile_settings import ProfileSettings

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.experiments.demo.record import FamilyProfile
    from speclight.measure.estimates import Estimate
    from speclight.measure.profile import Profile, ProfileSettings
    from speclight.measure.prompts import Prompt


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOptions:
    """Options of `speclight profile`."""

    out: Path = Path("out/profile")
    """Folder for the records; a killed run goes on where it stopped when the command is repeated."""
    settings: ProfileSettings = field(default_factory=ProfileSettings)
    laws: bool = True
    """Keep the likely part of every token's law too (some hundred bytes): `speclight bound` is less noisy."""
    top: int = 0
    """Likeliest tokens to record at each position, where a server is profiled."""
    server: EngineOptions = field(default_factory=EngineOptions)
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def profile(options: ProfileOptions = ProfileOptions()) -> None:
    """Sample from the target after every prompt and measure the entropy of its laws, per prompt family.

    Gives mu and mu2 from full laws and from sampled log-probabilities, with standard errors clustered by
    prompt, and records every token in Parquet for `speclight oracle` and `speclight bound --profile`.

        speclight profile --prompts questions.jsonl --temperature 0.7 --out out/profile

    Prompts of several turns, such as MT-bench's, are asked turn after turn, each after what was sampled for
    the turns before it; an answer that --max-tokens cuts stands in the chat as it is. The texts of all turns
    count, as one cluster a prompt, here and in every command that reads the records.

    With --engine the target is the model of a running inference server (vLLM, SGLang, llama.cpp, OpenAI's
    interface), and only sampled log-probabilities are known of it.

        speclight profile --engine http://127.0.0.1:8000 --out out/served
    """
    check_run(options.target, options.out)
    check_server(options.server)
    options.settings.check_entropy()
    prompts = read_prompt_options(options.prompts)

    from speclight.experiments.demo.family_profiles import family_profile
    from speclight.measure.profile_run import run_profile

    with command_output(options.json) as output:
        if options.server.engine is None:
            target = load_target(options.target)
            with progress_bars() as progress:
                measured = run_profile(target, prompts, options.settings, options.out, progress, options.laws)
            name = target.name
        else:
            name, measured = _by_engine(options, options.settings, prompts)
        families = [family_profile(measured, family) for family in measured.families]
        if options.json:
            output.write_json(
                {
                    "target": name,
                    "temperature": options.settings.sampling.temperature,
                    "folder": options.out,
                    "families": {family.family: _document(family) for family in families},
                }
            )
        else:
            output.show(_table(name, families), f"records: {options.out}")


def _by_engine(
    options: ProfileOptions, settings: ProfileSettings, prompts: tuple[Prompt, ...]
) -> tuple[str, Profile]:
    with engine_client(options.server) as client, progress_bars() as progress:
        from speclight.engines.profile_run import profile_engine

        here = rendering(options.server)
        measured = profile_engine(client, prompts, settings, options.out, options.top, here, progress)
        return f"{client.model} on {client.dialect.name}", measured


def _document(family: FamilyProfile) -> dict[str, object]:
    def estimator(mu: Estimate | None, mu2: Estimate | None) -> dict[str, object] | None:
        if mu is None or mu2 is None:
            return None
        return {
            "mu_nats": mu.value,
            "mu_standard_error": mu.standard_error,
            "mu2_nats2": mu2.value,
            "mu2_standard_error": mu2.standard_error,
            "tokens": family.tokens,
        }

    return {
        "prompts": family.prompts,
        "full": estimator(family.full_mu, family.full_mu2),
        "sampled": estimator(family.sampled_mu, family.sampled_mu2),
    }


def _table(target: str, families: list[FamilyProfile]) -> Table:
    from rich.table import Table

    table = Table(title=f"Entropy profile of {target}", title_justify="left")
    table.add_column("family", no_wrap=True)
    for heading in (
        "prompts",
        "tokens",
        "mu, full (nats)",
        "mu, sampled",
        "mu2, full (nats²)",
        "mu2, sampled",
    ):
        table.add_column(heading, justify="right")
    for family in families:
        columns = (family.full_mu, family.sampled_mu, family.full_mu2, family.sampled_mu2)
        table.add_row(family.family, str(family.prompts), str(family.tokens), *(_cell(c) for c in columns))
    return table


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not stated"
    if estimate.standard_error is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ± {estimate.standard_error:.3f}"
