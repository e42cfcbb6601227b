"""`speclight verify` for an inference server, or for texts that one has written."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.cli.engines.options import EngineOptions, check_server, engine_client, rendering
from speclight.cli.output import Output
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.engines.completion import EngineText
    from speclight.engines.greedy import GreedyTest
    from speclight.engines.losslessness import LawTest
    from speclight.engines.verdict import EngineVerdict
    from speclight.measure.prompts import Prompt
    from speclight.models.causal_lm import CausalLM
    from speclight.progress import Progress

NO_FAULT, NOT_LOSSLESS = "no fault found", "not lossless"


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineVerifyOptions:
    """What `speclight verify` tests in place of a decoder of its own, if anything is named here."""

    server: EngineOptions = field(default_factory=EngineOptions)
    texts: Path | None = None
    """A file of texts that an engine has written, tested offline: see `speclight bound --log-probs`."""
    reference: str | None = None
    """A model that states the laws instead of the engine: default, a folder, a .gguf file, or a hub id."""
    top: int = 20
    """Likeliest tokens asked for: the cells of the test, with one more for all others."""
    engine_tokens: int = 2000
    """Tokens to sample from the server."""

    @property
    def is_asked(self) -> bool:
        """Whether a server or texts are to be tested."""
        return self.server.engine is not None or self.texts is not None


def check_endpoint(options: EngineVerifyOptions) -> None:
    """Raise InvalidInput for a server and texts at once, or an address that is none."""
    if options.texts is not None and options.server.engine is not None:
        raise InvalidInput("give a server (--engine) or a file of its texts (--texts), not both")
    check_server(options.server)


def verify_engine(
    options: EngineVerifyOptions,
    prompts: tuple[Prompt, ...],
    temperature: float,
    seed: int,
    reference: CausalLM | None,
    output: Output,
    as_json: bool,
) -> bool:
    """Show whether an endpoint samples the laws it states, and return whether it passed."""
    from speclight.cli.progress import progress_bars
    from speclight.engines.text_files import read_texts
    from speclight.engines.verdict import engine_verdict

    with progress_bars() as progress:
        if options.texts is not None:
            texts = [(prompt, text) for _, prompt, text in read_texts(options.texts)]
            about = options.texts.name
        else:
            about, texts = _from_server(options, prompts, temperature, seed, reference is None, progress)
        verdict = engine_verdict(texts, temperature, reference, progress)
    word = NO_FAULT if verdict.whole.is_passed else NOT_LOSSLESS
    laws = "the endpoint's own" if reference is None else reference.name
    if as_json:
        output.write_json(
            {
                "engine": about,
                "laws": laws,
                "verdict": word,
                "whole": asdict(verdict.whole),
                "by_slot": {name: asdict(test) for name, test in verdict.by_slot.items()},
                "detectable_at_500_nats": verdict.detectable_at_500_nats,
                "largest_gap_nats": verdict.largest_gap_nats,
            }
        )
    else:
        output.show(*_shown(about, laws, verdict), f"verdict: {word}")
    return verdict.whole.is_passed


def _from_server(
    options: EngineVerifyOptions,
    prompts: tuple[Prompt, ...],
    temperature: float,
    seed: int,
    states_laws: bool,
    progress: Progress,
) -> tuple[str, list[tuple[tuple[int, ...], EngineText]]]:
    from speclight.engines.verdict import sample_from_server

    top = options.top if states_laws else 0
    with engine_client(options.server) as client:
        here = rendering(options.server)
        texts = sample_from_server(
            client, prompts, options.engine_tokens, top, temperature, seed, here, progress
        )
        return f"{client.model} on {client.dialect.name}", texts


def _shown(about: str, laws: str, verdict: EngineVerdict) -> list[Table | str]:
    from speclight.engines.greedy import GreedyTest

    whole, title = verdict.whole, f"{about}: its tokens against {laws} laws"
    shown: list[Table | str] = (
        [title, _greedy_line(whole)]
        if isinstance(whole, GreedyTest)
        else [_table(title, {"all": whole, **verdict.by_slot}), _power_line(verdict)]
    )
    if verdict.largest_gap_nats is not None:
        shown.append(
            f"the server's log-probabilities of these tokens differ from the reference's by at most "
            f"{verdict.largest_gap_nats:.2g} nats"
        )
    return shown


def _greedy_line(test: GreedyTest) -> str:
    return (
        f"greedy text: {test.others} of {test.tokens} tokens are not within {test.margin_nats:g} nats of the "
        f"likeliest; largest gap {test.largest_gap_nats:.2g} nats"
    )


def _power_line(verdict: EngineVerdict) -> str:
    from speclight.engines.losslessness import FALSE_ALARM, POWER
    from speclight.engines.verdict import POWER_TOKENS

    return (
        f"power at {POWER_TOKENS} tokens of such text: a shift of the mean surprisal by "
        f"{verdict.detectable_at_500_nats:.2f} nats is found with probability {POWER:g}, at a false-alarm "
        f"rate of {FALSE_ALARM:g}"
    )


def _table(title: str, tests: dict[str, LawTest]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in ("tokens", "surprisal", "entropy", "z", "chi-square", "p", "shift it would find"):
        table.add_column(heading)
    for name, test in tests.items():
        table.add_row(
            f"{name}, {test.tokens}",
            f"{test.mean_surprisal:.2f}",
            f"{test.mean_entropy:.2f}",
            f"{test.surprisal_z:+.1f}",
            f"{test.chi_square:.1f} on {test.degrees}",
            f"{test.p_value:.2g}",
            f"{test.detectable_nats:.2f} nats",
        )
    return table
