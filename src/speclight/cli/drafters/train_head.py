"""`speclight train-head`: make a drafter for a target out of nothing but the target."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from speclight.checks import check_whole_numbers, finite_number
from speclight.cli.options import JsonFlag, TargetOptions, check_run, load_target
from speclight.cli.output import Output, command_output
from speclight.cli.progress import progress_bars
from speclight.errors import InvalidInput
from speclight.training.conversation_settings import ConversationSettings
from speclight.training.training_settings import TrainingSettings

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
    first_step_tokens: int = 400_000
    """EAGLE-3: the first of these are trained without unrolled steps, which is twice as fast."""
    checkpoint_minutes: float = 3.0
    """Time between checkpoints; each one is scored on texts held out."""
    keep_every: int = 0
    """Keep the drafter of every so many training tokens besides, in a folder named by its kind and their
    number: drafters of many qualities for one target. 0 keeps the last one alone."""
    training: TrainingSettings = field(default_factory=TrainingSettings)
    conversations: ConversationSettings = field(default_factory=ConversationSettings)
    target: TargetOptions = field(default_factory=TargetOptions)
    json: JsonFlag = False


def train_head(options: TrainHeadOptions) -> None:
    """Train a drafter for a target on conversations that the target holds with itself.

    Sampling comes first and training second; both are interrupted safely and go on when the command is
    repeated. With more --text-tokens or --training-tokens a finished run goes on from its checkpoint.

        speclight train-head --target FOLDER --kind eagle3 --out out/head
    """
    check_whole_numbers(options, "text_tokens")
    check_whole_numbers(options, "first_step_tokens", "keep_every", at_least=0)
    minutes = finite_number("checkpoint_minutes", options.checkpoint_minutes, "minutes", "3 is usual")
    if minutes < 0.0:
        raise InvalidInput(
            f"checkpoint_minutes must be >= 0, got {minutes}; 3 is usual", argument="checkpoint_minutes"
        )
    check_run(options.target, options.out)

    from speclight.drafting.eagle3.conventions import default_layers
    from speclight.measure.store import sole_writer
    from speclight.training.fit import check_fit
    from speclight.training.sampling_run import sample_until

    with command_output(options.json) as output, sole_writer(options.out), progress_bars() as progress:
        target = load_target(options.target)
        if not _checkpoint(options).exists():
            check_fit(options.training, target, options.kind)
        texts = options.out / "texts"
        stored = sample_until(
            target,
            texts,
            default_layers(target.layers),
            options.text_tokens,
            options.conversations,
            options.training.seed,
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


def _checkpoint(options: TrainHeadOptions) -> Path:
    return options.out / f"{options.kind}.pt"


def _trained(
    options: TrainHeadOptions, target: CausalLM, texts: Path, output: Output
) -> tuple[TrainingLoop, list[TrainingProgress]]:
    """All of training, from the checkpoint if there is one."""
    from dataclasses import replace

    from speclight.training.training_loop import train

    checkpoint = _checkpoint(options)
    training = _opened(options, target, texts, checkpoint)
    curve: list[TrainingProgress] = []
    last = monotonic()

    kept = training.tokens // options.keep_every if options.keep_every else 0

    def is_to_keep() -> bool:
        return options.keep_every > 0 and training.tokens // options.keep_every > kept

    def is_due() -> bool:
        return is_to_keep() or monotonic() - last >= 60.0 * options.checkpoint_minutes

    def report(progress: TrainingProgress) -> None:
        nonlocal last, kept
        if is_to_keep():
            training.write(options.out / f"{options.kind}-{progress.tokens:09d}", target)
            kept = training.tokens // options.keep_every
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
        train(
            training,
            texts,
            is_due,
            report,
            until=min(options.first_step_tokens, options.training.training_tokens),
        )
        training.settings = settings
    train(training, texts, is_due, report)
    return training, curve


def _opened(options: TrainHeadOptions, target: CausalLM, texts: Path, checkpoint: Path) -> TrainingLoop:
    """Training of the kind asked for, new or as its checkpoint left it."""
    from speclight.training.head_trainer import HeadTraining
    from speclight.training.medusa_trainer import MedusaTraining
    from speclight.training.small_model_trainer import SmallModelTraining

    kinds = {"eagle3": HeadTraining, "medusa": MedusaTraining, "small-lm": SmallModelTraining}
    kind = kinds[options.kind]
    if checkpoint.exists():
        return kind.resumed(target, checkpoint, options.training)
    return kind.begun(target, texts, options.training)
