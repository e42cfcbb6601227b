"""`speclight race-vs-rejection`: races against coins at equal numbers of drafted tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, PromptOptions, TargetOptions, load_target, read_prompt_options
from speclight.cli.output import command_output, json_line
from speclight.cli.progress import progress_bars

# Prompts looked at beyond those sampled from, so that the longest can be left out.
SPARE_PROMPTS = 4


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class RaceOptions:
    """Options of `speclight race-vs-rejection`."""

    out: Path = Path("out/race-vs-rejection")
    """Folder for recorded laws (about 0.5 GB), results and figure; a killed run goes on where it stopped."""
    texts: int = 10
    """Texts recorded at each temperature."""
    tokens: int = 36
    """Tokens of each text; calls start at its first 12."""
    temperature: tuple[float, ...] = (0.6, 1.0)
    """Temperatures of the target's law, and of the drafter's where it is a model."""
    layers: int | None = None
    """First layers of the target that draft; those of the drafter layer_skip if not given."""
    candidates: int = 20
    """Prompts to sample from, spread over all given; the first texts of full length are recorded."""
    seed: int = 0
    """Seed of texts and races."""
    prompts: PromptOptions = field(default_factory=PromptOptions)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def race_vs_rejection(options: RaceOptions = RaceOptions()) -> None:
    """Compare race and coin rules on laws recorded along the target's own text.

    Tokens per call of every rule and drafting strategy at equal numbers of drafted tokens, exact given the
    texts, beside H[R] and the bound it gives. The race algorithms are a reconstruction: see docs/races.md.
    """
    from speclight.experiments.race_records import RaceRecordSettings, record_laws
    from speclight.experiments.race_tables import draw, markdown
    from speclight.experiments.race_vs_rejection import compare
    from speclight.measure.store import write_whole

    settings = RaceRecordSettings(
        texts=options.texts,
        tokens=options.tokens,
        drafter_layers=options.layers,
        temperatures=options.temperature,
        seed=options.seed,
    )
    prompts = read_prompt_options(options.prompts)
    spread = prompts[:: max(1, len(prompts) // (options.candidates + SPARE_PROMPTS))]
    # The shortest of them: they are read several times, and the laws along the answer are what is recorded.
    chosen = tuple(sorted(spread, key=lambda prompt: len(prompt.turns[0]))[: options.candidates])
    with command_output(options.json) as output:
        target = load_target(options.target)
        with progress_bars() as progress:
            record_laws(target, chosen, settings, options.out / "laws", progress)
            comparison = compare(
                options.out / "laws", options.out / "ranks", target.vocabulary_size, progress
            )
        document = asdict(comparison)
        write_whole(options.out / "comparison.json", (json_line(document) + "\n").encode())
        figure = draw(comparison, options.out / "tokens-per-call.svg")
        if options.json:
            output.write_json(document)
        else:
            output.show(markdown(comparison), f"\nfigure: {figure}")
