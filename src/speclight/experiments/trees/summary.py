"""The comparison of trees in numbers: means, differences from best-first, and the theorem counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from speclight.experiments.trees.run import BEST_FIRST, TREES, DrafterTrees, TreeValue
from speclight.measure.estimates import Estimate, mean_over, within

# Sums of a few dozen path probabilities, each rounded to float64 and added in the order of its tree's nodes.
SUM_ATOL = 1e-12


@dataclass(frozen=True, slots=True)
class TreeCell:
    """One tree at one node budget, over all contexts of a drafter.

    target_tokens, own_tokens: mean expected tokens per call under the target's and the drafter's law.
    best_first_gain: mean of best-first's target_tokens minus this tree's, paired by context, clustered by
    prompt; None for best-first itself. contexts_below, contexts_above: where best-first's is smaller, or
    larger, under the target's law. own_violations: contexts where best-first's own_tokens is the smaller one:
    zero, by Lemma 1 of arXiv 2512.11718v1.
    """

    tree: str
    node_budget: int
    target_tokens: Estimate
    own_tokens: Estimate
    best_first_gain: Estimate | None
    contexts_below: int
    contexts_above: int
    own_violations: int
    mean_nodes: float
    mean_depth: float
    mean_calls: float


@dataclass(frozen=True, slots=True)
class TreeSummary:
    """All cells of one drafter."""

    drafter: str
    layers: int | None
    contexts: int
    prompts: int
    families: tuple[str, ...]
    cells: tuple[TreeCell, ...]

    def cell(self, tree: str, node_budget: int) -> TreeCell:
        """One of the cells. Raises KeyError for a tree or budget that was not compared."""
        for cell in self.cells:
            if (cell.tree, cell.node_budget) == (tree, node_budget):
                return cell
        raise KeyError((tree, node_budget))

    @property
    def node_budgets(self) -> tuple[int, ...]:
        """Budgets compared, rising."""
        return tuple(sorted({cell.node_budget for cell in self.cells}))

    @property
    def own_violations(self) -> int:
        """See TreeCell, all cells together."""
        return sum(cell.own_violations for cell in self.cells)

    @property
    def own_comparisons(self) -> int:
        """Comparisons made under the drafter's own law: contexts times other trees times budgets."""
        return self.contexts * sum(cell.tree != BEST_FIRST for cell in self.cells)


def summarise_trees(compared: DrafterTrees) -> TreeSummary:
    """The cells of one drafter, trees in the order of TREES, budgets rising."""
    budgets = sorted({value.node_budget for value in compared.values})
    by_cell = {
        (tree, budget): [v for v in compared.values if (v.tree, v.node_budget) == (tree, budget)]
        for tree in TREES
        for budget in budgets
    }
    first = by_cell[BEST_FIRST, budgets[0]]
    return TreeSummary(
        drafter=compared.drafter.name,
        layers=compared.drafter.layers,
        contexts=len(first),
        prompts=len({value.prompt_id for value in first}),
        families=tuple(dict.fromkeys(value.family for value in first)),
        cells=tuple(_cell(values, by_cell[BEST_FIRST, budget]) for (_, budget), values in by_cell.items()),
    )


def _cell(values: Sequence[TreeValue], best: Sequence[TreeValue]) -> TreeCell:
    """Both in the order of contexts."""
    tree, budget = values[0].tree, values[0].node_budget
    prompts = [value.prompt_id for value in values]
    gains = np.array([b.target_tokens - v.target_tokens for b, v in zip(best, values, strict=True)])
    own = np.array([b.own_tokens - v.own_tokens for b, v in zip(best, values, strict=True)])
    possible = (1.0, float(budget))
    return TreeCell(
        tree=tree,
        node_budget=budget,
        target_tokens=within(mean_over(prompts, [value.target_tokens for value in values]), *possible),
        own_tokens=within(mean_over(prompts, [value.own_tokens for value in values]), *possible),
        best_first_gain=None if tree == BEST_FIRST else mean_over(prompts, gains.tolist()),
        contexts_below=int((gains < -SUM_ATOL).sum()),
        contexts_above=int((gains > SUM_ATOL).sum()),
        own_violations=int((own < -SUM_ATOL).sum()),
        mean_nodes=float(np.mean([value.nodes for value in values])),
        mean_depth=float(np.mean([value.depth for value in values])),
        mean_calls=float(np.mean([value.calls for value in values])),
    )
