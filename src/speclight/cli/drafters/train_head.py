"""`speclight train-head`: make a drafter for a target out of nothing but the target."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from speclight.cli.options import JsonFlag, TargetOptions, load_target
from speclight.cli.output import Output, command_output
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.models.causal_lm import CausalLM
    from speclight.training.training_loop import TrainingLoop
    from speclight.training.training_settings import TrainingProgress


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainHeadOptions:
    """Options of `speclight train-head`."""

    out: Path
    """Folder for everything: sampled text, checkpoints, the head. Repeat the command to go on from there."""
    kind: Literal["eagle3", "medusa", "small-lm"] = "eagle3"
    """What to train: an EAGLE-3 head, Medusa heads, or a small independent model with the same tokens."""
    text_tokens: int = 1_000_000
    """Tokens of conversations that the target writes for training."""
    training_tokens: int = 4_000_000
    """Tokens to train on, over all epochs."""
    first_step_tokens: int = 400_000
    """EAGLE-3: the first of these are trained without unrolled steps, which is twice as fast."""
    draft_vocabulary: int = 8192
    """How many of the target's tokens are drafted."""
    unrolled_steps: int = 3
    """EAGLE-3: steps of training-time test. Medusa: heads."""
    small_layers: int = 4
    """Small model: how many of the target's layers it keeps, from both ends."""
    learning_rate: float = 6e-4
    """The highest one; it rises over the first 2% and falls over the last 30% of the training tokens."""
    rows: int = 128
    """Conversations sampled at the same time."""
    greedy_share: float = 0.65
    """Share of the answers sampled at temperature 0; the others are at 1."""
    checkpoint_minutes: float = 3.0
    """Time between checkpoints; each one is scored on texts held out."""
    seed: int = 0
    """Seed of all randomness."""
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def train_head(options: TrainHeadOptions) -> None:
    """Train a drafter for a target on conversations that the target holds with itself.

    Sampling comes first and training second; both are interrupted safely and go on when the command is
    repeated. With more --text-tokens or --training-tokens a finished run goes on from its checkpoint.

        speclight train-head --target FOLDER --kind eagle3 --out out/head
    """
    from speclight.drafting.eagle3.conventions import default_layers
    from speclight.measure.store import sole_writer
    from speclight.training.conversations import ConversationSettings
    from speclight.training.sampling_run import sample_until

    _check(options)
    with command_output(options.json) as output, sole_writer(options.out), progress_bars() as progress:
        target = load_target(options.target)
        texts = options.out / "texts"
        conversations = ConversationSettings(rows=options.rows, greedy_share=options.greedy_share)
        stored = sample_until(
            target,
            texts,
            default_layers(target.layers),
            options.text_tokens,
            conversations,
            options.seed,
            progress,
        )
        training, curve = _trained(options, target, texts, output)
        head = options.out / options.kind
        training.write(head, target)
        output.show(f"written to the folder {head.name} of {options.out.name}")
        if options.json:
            points = [_point(reached) for reached in curve]
            output.write_json({"head": head, "text_tokens": stored, "learning_curve": points})


def _point(progress: TrainingProgress) -> dict[str, object]:
    return {
        "tokens": progress.tokens,
        "cross_entropies": progress.cross_entropies,
        "agreements": progress.agreements,
        "estimated_chain": progress.estimated_chain,
    }


def _check(options: TrainHeadOptions) -> None:
    for name in ("text_tokens", "rows"):
        if getattr(options, name) < 1:
            raise InvalidInput(f"--{name.replace('_', '-')} must be >= 1, got {getattr(options, name)}")
    if not 0.0 <= options.greedy_share <= 1.0:
        raise InvalidInput(f"--greedy-share must lie in [0, 1], got {options.greedy_share}")


def _trained(
    options: TrainHeadOptions, target: CausalLM, texts: Path, output: Output
) -> tuple[TrainingLoop, list[TrainingProgress]]:
    """All of training, from the checkpoint if there is one."""
    from dataclasses import replace

    from speclight.training.training_loop import train

    checkpoint = options.out / f"{options.kind}.pt"
    training = _opened(options, target, texts, checkpoint)
    curve: list[TrainingProgress] = []
    last = monotonic()

    def is_due() -> bool:
        return monotonic() - last >= 60.0 * options.checkpoint_minutes

    def report(progress: TrainingProgress) -> None:
        nonlocal last
        training.save(checkpoint)
        curve.append(progress)
        agreements = ", ".join(f"{share:.3f}" for share in progress.agreements)
        output.show(
            f"{progress.tokens} tokens, epoch {progress.epoch}: the best token is right at {agreements} of "
            f"the positions held out, by step; greedy chain: {progress.estimated_chain:.2f} tokens per call"
        )
        last = monotonic()

    settings = training.settings
    if options.kind == "eagle3" and training.tokens < options.first_step_tokens:
        training.settings = replace(settings, unrolled_steps=1)
        train(training, texts, is_due, report, until=min(options.first_step_tokens, options.training_tokens))
        training.settings = settings
    train(training, texts, is_due, report)
    return training, curve


def _opened(options: TrainHeadOptions, target: CausalLM, texts: Path, checkpoint: Path) -> TrainingLoop:
    """Training of the kind asked for, new or as its checkpoint left it."""
    from speclight.training.head_trainer import new_training, resumed
    from speclight.training.medusa_trainer import new_medusa_training, resumed_medusa
    from speclight.training.small_model_trainer import new_small_model_training, resumed_small_model
    from speclight.training.training_settings import TrainingSettings

    start, resume = {
        "eagle3": (new_training, resumed),
        "medusa": (new_medusa_training, resumed_medusa),
        "small-lm": (new_small_model_training, resumed_small_model),
    }[options.kind]
    settings = TrainingSettings(
        training_tokens=options.training_tokens,
        draft_vocabulary=options.draft_vocabulary,
        unrolled_steps=options.unrolled_steps,
        small_layers=options.small_layers,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    if checkpoint.exists():
        return resume(target, checkpoint, settings)
    return start(target, texts, settings)
