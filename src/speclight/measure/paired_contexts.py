"""The best tree and fresh continuations at the same contexts: they tell the estimator's error from Jensen's.

At each start along profiled texts the tree is searched with the target itself, and the target continues the
text several times anew. Estimates from the continuations and exact values of the tree then differ by
sampling alone, context by context.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import log
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from speclight.arrays import FloatArray, IntArray
from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput
from speclight.measure.continuations import continuations_at
from speclight.measure.oracle_run import OracleSettings, trace_settings
from speclight.measure.plan import run_plan
from speclight.measure.profile import Profile, ProfiledText
from speclight.measure.store import read_table, recording
from speclight.measure.trace.starts import traced_positions
from speclight.measure.true_limit import oracle_contexts
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent
from speclight.seeds import stream
from speclight.theory.ergodic.seen_trees import seen_tree

# A continuation is stopped once its surprisal is this far beyond ln P: no level lies that high.
BEYOND = 2.0


@dataclass(frozen=True, slots=True)
class PairedSettings:
    """How much to search and to sample.

    contexts: in all, spread evenly over a profile's usable starts. continuations: fresh ones at each.
    node_budgets: P at which seen trees are valued. searched_nodes: of each tree, at least the largest P.
    """

    contexts: int
    continuations: int
    node_budgets: tuple[int, ...]
    searched_nodes: int
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole_numbers(self, "contexts", "continuations")
        if not self.node_budgets or min(self.node_budgets) < 2:
            raise InvalidInput(f"node_budgets must each be at least 2, got {self.node_budgets}")
        if self.searched_nodes < max(self.node_budgets):
            raise InvalidInput(
                f"searched_nodes must be at least the largest node budget {max(self.node_budgets)}, got "
                f"{self.searched_nodes}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class PairedContext:
    """One context. path_log_probs, depths: [nodes] of the searched tree, likeliest first, the root's 0 and 0.

    sums: for each continuation the surprisals S_1, S_2, ... of its first tokens that can be nodes. seen:
    [node_budgets] E[X] of the P likeliest prefixes that the continuations and the tokens listed beside them
    show.
    """

    prompt_id: str
    start: int
    path_log_probs: FloatArray
    depths: IntArray
    sums: tuple[FloatArray, ...]
    seen: FloatArray


def run_paired_contexts(
    model: CausalLM,
    profile: Profile,
    settings: PairedSettings,
    folder: Path,
    progress: Progress = silent,
) -> tuple[PairedContext, ...]:
    """Search and sample at every chosen context; a text is the resumable unit.

    Raises StorageError if the folder holds another plan, InvalidInput if no text has a usable start.
    """
    largest = max(settings.node_budgets)
    starts = trace_settings(OracleSettings(settings.contexts, largest, settings.seed))
    chosen = traced_positions(profile, starts, model.context_window)
    plan = run_plan(
        "paired contexts",
        model,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        settings=asdict(settings),
        sampling=asdict(profile.settings.sampling),
        starts=[[*text.key, starts] for text, starts in chosen],
    )
    found: list[PairedContext] = []
    with recording(folder, plan) as records:
        for number, (text, starts) in enumerate(chosen):
            name = f"text-{number:04d}"
            if not records.has(name):
                uniforms = stream(settings.seed, number).random(
                    (len(starts), settings.continuations, largest - 1)
                )
                sampling = profile.settings.sampling
                records.write(name, _measured(model, text, starts, settings, uniforms, sampling))
            found += [_read(row) for row in read_table(folder, name).to_pylist()]
            progress(number + 1, len(chosen), "searched trees and fresh continuations")
    return tuple(found)


def _measured(
    model: CausalLM,
    text: ProfiledText,
    starts: list[int],
    settings: PairedSettings,
    uniforms: FloatArray,
    sampling: SamplingSettings,
) -> pa.Table:
    largest = max(settings.node_budgets)
    roots = [len(text.prompt_token_ids) + start - 1 for start in starts]
    token_ids = [*text.prompt_token_ids, *text.token_ids][: max(roots) + 1]
    searched = oracle_contexts(model, token_ids, roots, settings.searched_nodes, sampling)
    drawn = continuations_at(model, token_ids, roots, uniforms, log(largest) + BEYOND, sampling)
    ends = model.end_of_text
    rows = [
        {
            "prompt_id": text.prompt_id,
            "start": start,
            "path_log_probs": tree.path_log_probs,
            "depths": tree.depths,
            "sums": [np.cumsum(-item.log_probs[~np.isin(item.tokens, list(ends))]) for item in continuations],
            "seen": [seen_tree(continuations, budget, ends) for budget in settings.node_budgets],
        }
        for start, tree, continuations in zip(starts, searched, drawn, strict=True)
    ]
    return pa.Table.from_pylist(rows)


def _read(row: dict[str, object]) -> PairedContext:
    sums = row["sums"]
    assert isinstance(sums, list), "written as a list of lists"
    return PairedContext(
        str(row["prompt_id"]),
        int(str(row["start"])),
        np.array(row["path_log_probs"], dtype=np.float64),
        np.array(row["depths"], dtype=np.int64),
        tuple(np.array(each, dtype=np.float64) for each in sums),
        np.array(row["seen"], dtype=np.float64),
    )
