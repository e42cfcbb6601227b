"""An oracle decode replayed along sampled text: the best tree at every call start, the text as the verdict.

Accepting target_sample-wise means drawing the text from the target and following it while it stays in the
tree. So a text that was already sampled is as good as one drawn on the way: the calls an oracle decoder
would have made are read off it, and several node budgets share one reading of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from speclight.measure.plan import run_plan
from speclight.measure.profile import Profile, ProfiledText
from speclight.measure.store import read_table, reading, recording
from speclight.measure.text_keys import turn_column
from speclight.models.causal_lm import CausalLM
from speclight.models.forest import Forest, ForestNode
from speclight.models.sampling import SamplingSettings
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw

KIND = "oracle decode"


@dataclass(frozen=True, slots=True)
class OracleCall:
    """One call of an oracle decode. start: index of its first token in the text. turn: from 1.

    expected_tokens: E[X | context] of its tree. tokens_emitted: what the text made of it.
    """

    prompt_id: str
    sample: int
    node_budget: int
    start: int
    expected_tokens: float
    tokens_emitted: int
    turn: int = 1


def oracle_decode(
    model: CausalLM,
    text: ProfiledText,
    node_budgets: Sequence[int],
    starts_below: int,
    sampling: SamplingSettings,
) -> list[OracleCall]:
    """The calls at every node budget, each from the first token on, while they start below `starts_below`.

    The budgets' searches go in step and share their forward passes. sampling: the law the text was drawn
    from.
    """
    end = min(starts_below, len(text.token_ids))
    prompt = list(text.prompt_token_ids)
    roots = [len(prompt) + start - 1 for start in range(end)]
    forest = Forest(model, [*prompt, *text.token_ids[: end - 1]], roots, sampling)
    walks = [_Walk(text, budget, forest, end, model.end_of_text) for budget in node_budgets]
    while True:
        asked = [(walk, node) for walk in walks for node in walk.advance()]
        if not asked:
            break
        handles, laws = forest.score([walk.forest_node(node) for walk, node in asked])
        for (walk, node), handle, law in zip(asked, handles, laws, strict=True):
            walk.expand(node, handle, CandidateLaw.most_probable(law, walk.wanted))
    return [call for walk in walks for call in walk.calls]


def run_oracle_decode(
    model: CausalLM,
    profile: Profile,
    texts: int,
    node_budgets: Sequence[int],
    starts_below: int,
    folder: Path,
) -> list[OracleCall]:
    """Decode the first sample, in all turns, of `texts` prompts of a profile; a text is the resumable unit.

    Asking for more texts later goes on in the same folder. Raises StorageError if it holds another plan.
    """
    plan = run_plan(
        KIND,
        model,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        temperature=profile.settings.sampling.temperature,
        seed=profile.settings.seed,
        node_budgets=list(node_budgets),
        starts_below=starts_below,
    )
    first_samples = {(text.prompt_id, text.turn): text for text in reversed(profile.texts)}
    of_prompt: dict[str, list[tuple[int, ProfiledText]]] = {}
    in_order = sorted(first_samples.values(), key=lambda text: (*_question(text.prompt_id), text.turn))
    for number, text in enumerate(in_order):
        of_prompt.setdefault(text.prompt_id, []).append((number, text))
    prompts = list(of_prompt)
    # Prompts at even distances, so that a file sorted by topic is not decoded on its first topic alone.
    stride = max(1, len(prompts) // _FIRST_SWEEP)
    wanted = [prompt for offset in range(stride) for prompt in prompts[offset::stride]][:texts]
    chosen = [item for prompt in wanted for item in of_prompt[prompt]]
    calls: list[OracleCall] = []
    with recording(folder, plan) as records:
        for number, text in chosen:
            name = f"text-{number:04d}"
            if not records.has(name):
                found = oracle_decode(model, text, node_budgets, starts_below, profile.settings.sampling)
                records.write(name, _table(found))
            calls += _read(folder, name)
    return calls


def recorded_calls(folder: Path) -> list[OracleCall]:
    """The calls of every text that a folder holds so far. Raises StorageError if it is of another kind."""
    with reading(folder, KIND):
        return [call for file in sorted(folder.glob("text-*.parquet")) for call in _read(folder, file.stem)]


def _read(folder: Path, name: str) -> list[OracleCall]:
    return [OracleCall(**row) for row in read_table(folder, name).to_pylist()]


# Texts of the first sweep over a family's prompts.
_FIRST_SWEEP = 8


def _question(prompt_id: str) -> tuple[int, str]:
    number = prompt_id.rpartition("-")[2]
    return (int(number) if number.lstrip("-").isdigit() else 0, prompt_id)


def _table(calls: list[OracleCall]) -> pa.Table:
    return pa.table(
        {
            "prompt_id": [call.prompt_id for call in calls],
            "sample": pa.array([call.sample for call in calls], pa.int32()),
            **turn_column([call.turn for call in calls]),
            "node_budget": pa.array([call.node_budget for call in calls], pa.int32()),
            "start": pa.array([call.start for call in calls], pa.int32()),
            "expected_tokens": [call.expected_tokens for call in calls],
            "tokens_emitted": pa.array([call.tokens_emitted for call in calls], pa.int32()),
        }
    )


class _Walk:
    """One node budget's way along the text, call by call."""

    def __init__(
        self, text: ProfiledText, node_budget: int, forest: Forest, end: int, end_of_text: frozenset[int]
    ) -> None:
        self.calls: list[OracleCall] = []
        # End-of-text tokens among the most probable ones are dropped by the search, so ask for as many more.
        self.wanted = node_budget + len(end_of_text)
        self._text, self._budget, self._end = text, node_budget, end
        self._forest, self._end_of_text = forest, end_of_text
        self._begin(0)

    def advance(self) -> list[int]:
        """Nodes whose children must be known; calls that need none are finished on the way."""
        while self._start < self._end:
            asked = self._search.unexpanded() if self._budget > 1 else []
            if asked:
                return asked
            self._finish(self._search.tree())
        return []

    def forest_node(self, node: int) -> ForestNode:
        """A node of the search as the forest knows it."""
        known = self._search.known
        parent = known.parents[node]
        return ForestNode(self._start, known.tokens[node], None if parent == 0 else self._handles[parent])

    def expand(self, node: int, handle: int, law: CandidateLaw) -> None:
        """Hand in the law after a node."""
        self._handles[node] = handle
        self._search.expand(node, law)

    def _begin(self, start: int) -> None:
        self._start = start
        if start >= self._end:
            return
        root = self._text.token_ids[start - 1] if start else self._text.prompt_token_ids[-1]
        self._search = BestFirstGrowth(root, self._budget, self._end_of_text)
        self._handles: dict[int, int] = {}
        if self._budget > 1:
            law = self._forest.root_laws[start]
            self._search.expand(0, CandidateLaw.most_probable(law, self.wanted))

    def _finish(self, tree: DraftTree) -> None:
        # The text's last token can only be the one that the target itself adds.
        emitted = 1 + len(tree.follow(self._text.token_ids[self._start : -1]))
        expected = float(np.exp(tree.path_log_probs).sum())
        self.calls.append(
            OracleCall(
                self._text.prompt_id,
                self._text.sample,
                self._budget,
                self._start,
                expected,
                emitted,
                self._text.turn,
            )
        )
        self._begin(self._start + emitted)
