"""Where the headline run's speed goes: its waterfall, from calls already decoded, timed and searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from speclight.advice.run_totals import run_setup, run_totals
from speclight.advice.waterfall import waterfall
from speclight.experiments.demo.drafter_run import DrafterRun
from speclight.experiments.demo.record import SpeedLosses
from speclight.measure.decoded_run.call_starts import SearchedPrompt
from speclight.measure.decoded_run.record import CallStart
from speclight.measure.decoded_run.texts import decoded_text
from speclight.models.causal_lm import CausalLM
from speclight.theory.laws.sampled_text import SampledText

# What a drafter grows if nothing else is said: its likeliest nodes, so that their worth is the trees' own.
TREE = "best_first"


def speed_losses(
    model: CausalLM, run: DrafterRun, searched: Sequence[SearchedPrompt], scored: Sequence[SampledText]
) -> SpeedLosses:
    """The waterfall of a run's first round against speclight's own plain loop.

    searched: the run's prompts with the best trees at their call starts, in its order. scored: its texts.
    """
    texts = []
    for item, plain, found, known in zip(run.decoded, run.plain, searched, scored, strict=True):
        text = decoded_text(model, [item], [plain], run.settings.sampling, known=known)
        starts = [
            CallStart(best, call.target_path_log_probs)
            for best, call in zip(found.best, text.calls, strict=True)
        ]
        texts.append(replace(text, starts=tuple(starts)))
    return SpeedLosses(
        waterfall(run_totals(texts, run.node_budget)),
        run_setup(texts, run.node_budget, run.drafter, TREE, run.rule),
    )
