"""Rules on many draft trees at once, in torch: the same noise gives the verdict of the plain rule.

For checks and replays that verify thousands of trees against laws already in memory. Decoding uses the plain
rules: it has one tree a call, and processes the target's law at the few nodes a verdict visits only, while
here all laws are handed in. `greedy` and `typical` are not here: they decide by one comparison a node.
Verdicts can differ from the plain rule's only where a coin or draw falls within rounding of its threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from speclight.errors import InvalidInput
from speclight.trees.draft_tree import DraftKind, DraftTree
from speclight.verification.noise import UniformNoise
from speclight.verification.verdict import Verdict

# Halvings of [1, k] that leave neighbouring floats.
BISECTION_STEPS = 60


@dataclass(frozen=True, slots=True, eq=False)
class TreeBatch:
    """Draft trees that differ in tokens and laws only.

    trees: as handed in. kind, draws: common to all; draws: [nodes] children of each node in the order drawn.
    first_coins: [nodes] number of the coin of each node's first draw. tokens: [trees, nodes].
    draft_laws: [trees, nodes, vocab] what the children of a node were drawn from; zero where nothing was, and
    for deterministic drafts.
    """

    trees: tuple[DraftTree, ...]
    kind: DraftKind
    draws: tuple[tuple[int, ...], ...]
    first_coins: tuple[int, ...]
    tokens: torch.Tensor
    draft_laws: torch.Tensor

    def proposal_laws(self, rows: torch.Tensor, node: int) -> Iterator[torch.Tensor]:
        """[rows, vocab] for each draw after `node`, the law it came from given the draws before it."""
        left = self.draft_laws[rows, node]
        for child in self.draws[node]:
            tokens = self.tokens[rows, child][:, None]
            if self.kind == "deterministic":
                yield torch.zeros_like(left).scatter(1, tokens, 1.0)
            else:
                yield left / left.sum(1, keepdim=True)
            if self.kind == "without_replacement":
                left = left.scatter(1, tokens, 0.0)


def batch_of(
    trees: Sequence[DraftTree], vocabulary_size: int, device: torch.device | str = "cpu"
) -> TreeBatch:
    """Stack trees of one kind, shape and pattern of repeated draws. Raises InvalidInput if they differ."""
    kind, draws = trees[0].kind, _draws(trees[0])
    if any(tree.kind != kind or _draws(tree) != draws for tree in trees):
        raise InvalidInput("trees of a batch must agree in kind, shape and repeated draws; group them first")
    laws = np.zeros((len(trees), len(draws), vocabulary_size))
    for row, tree in enumerate(trees):
        for node, sample in enumerate(tree.samples or ()):
            if sample is not None:
                laws[row, node] = sample.law
    return TreeBatch(
        trees=tuple(trees),
        kind=kind,
        draws=draws,
        first_coins=tuple(np.cumsum([0, *(len(children) for children in draws)]).tolist()),
        tokens=torch.as_tensor(np.stack([tree.tokens for tree in trees]), device=device),
        draft_laws=torch.as_tensor(laws, device=device),
    )


def _draws(tree: DraftTree) -> tuple[tuple[int, ...], ...]:
    if tree.samples is None:
        return tuple(tuple(tree.children(node).tolist()) for node in range(len(tree)))
    return tuple(() if sample is None else tuple(sample.draws.tolist()) for sample in tree.samples)


@dataclass(frozen=True, slots=True, eq=False)
class BatchedNoise:
    """A UniformNoise for each tree. coins: [trees, coins]. draws: [trees, nodes]."""

    coins: torch.Tensor
    draws: torch.Tensor


def noise_of(noises: Sequence[UniformNoise], device: torch.device | str = "cpu") -> BatchedNoise:
    """Stack the noise of single trees."""
    coins, draws = (np.stack([getattr(noise, name) for noise in noises]) for name in ("coins", "draws"))
    return BatchedNoise(torch.as_tensor(coins, device=device), torch.as_tensor(draws, device=device))


@dataclass(frozen=True, slots=True, eq=False)
class BatchedVerdict:
    """A verdict for each tree.

    last_nodes: [trees] the last accepted node (0 is the root). next_tokens: [trees].
    """

    last_nodes: torch.Tensor
    next_tokens: torch.Tensor

    def verdicts(self, batch: TreeBatch) -> list[Verdict]:
        """One plain verdict a tree."""
        return [
            Verdict(tree.path(int(node)), int(token))
            for tree, node, token in zip(batch.trees, self.last_nodes, self.next_tokens, strict=True)
        ]


# target_laws: [trees, nodes, vocab] float64, processed, at every node.
BatchedRule = Callable[[TreeBatch, torch.Tensor, BatchedNoise], BatchedVerdict]


def target_sample(batch: TreeBatch, target_laws: torch.Tensor, noise: BatchedNoise) -> BatchedVerdict:
    """TargetSample, its draws made at all nodes together."""
    tokens = _sampled(target_laws, noise.draws)
    last = torch.zeros_like(batch.tokens[:, 0])
    for node, children in enumerate(batch.draws):
        for child in children:
            last[(last == node) & (tokens[:, node] == batch.tokens[:, child])] = child
    return BatchedVerdict(last, tokens.gather(1, last[:, None])[:, 0])


def rejection(batch: TreeBatch, target_laws: torch.Tensor, noise: BatchedNoise) -> BatchedVerdict:
    """Rejection and RejectionWithoutReplacement."""

    def decide(rows: torch.Tensor, node: int, law: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = torch.full_like(rows, node)
        for place, (child, proposal) in enumerate(_candidates(batch, rows, node)):
            token = batch.tokens[rows, child][:, None]
            ratio = (law.gather(1, token) / proposal.gather(1, token))[:, 0]
            taken = noise.coins[rows, batch.first_coins[node] + place] < ratio.clamp(max=1.0)
            chosen = torch.where(taken & (chosen == node), child, chosen)
            law = _residual(law, proposal)
        return chosen, law

    return _walked_down(batch, target_laws, noise, decide)


def k_seq(batch: TreeBatch, target_laws: torch.Tensor, noise: BatchedNoise) -> BatchedVerdict:
    """KSeq, rho by halving for all trees together."""

    def decide(rows: torch.Tensor, node: int, law: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chosen, tries = torch.full_like(rows, node), list(_candidates(batch, rows, node))
        if not tries:
            return chosen, law
        proposal = tries[0][1]
        rho = _division_factors(law, proposal, len(tries))
        for place, (child, _) in enumerate(tries):
            token = batch.tokens[rows, child][:, None]
            ratio = (law.gather(1, token) / (rho * proposal.gather(1, token)))[:, 0]
            taken = noise.coins[rows, batch.first_coins[node] + place] < ratio.clamp(max=1.0)
            chosen = torch.where(taken & (chosen == node), child, chosen)
        per_try = torch.minimum(proposal, law / rho)
        rounds = sum((1.0 - per_try.sum(1, keepdim=True)) ** tried for tried in range(len(tries)))
        return chosen, _residual(law, rounds * per_try)

    return _walked_down(batch, target_laws, noise, decide)


def traversal(batch: TreeBatch, target_laws: torch.Tensor, noise: BatchedNoise) -> BatchedVerdict:
    """Traversal.

    All trees are walked in the one order their shape gives; a tree is settled by its first accepted node.
    """
    rows = torch.arange(len(batch.tokens), device=batch.tokens.device)
    left = list(target_laws.unbind(1))
    weights = [torch.ones_like(left[0][:, 0]) for _ in batch.draws]
    last = torch.full_like(rows, -1)
    proposals = [list(batch.proposal_laws(rows, node)) for node in range(len(batch.draws))]
    for node, place, child, is_left in _depth_first(batch.draws):
        proposal = proposals[node][place]
        if not is_left:
            token = batch.tokens[:, child][:, None]
            ratio = (left[node].gather(1, token) / proposal.gather(1, token))[:, 0]
            weights[child] = (weights[node] * ratio).clamp(max=1.0)
            continue
        if child not in batch.draws[node][:place]:  # a repeat is of weight 0: never accepted
            coin = noise.coins[:, batch.first_coins[node] + place]
            last = torch.where((last < 0) & (coin < weights[child]), child, last)
        # Settled trees are carried along: what they compute further on is not read.
        excess = (weights[node][:, None] * left[node] - proposal).clamp(min=0.0)
        mass, missing = excess.sum(1), 1.0 - weights[node]
        some = mass > 0.0
        frozen = (last >= 0)[:, None] | ~some[:, None]
        left[node] = torch.where(
            frozen, left[node], excess / mass.clamp(min=torch.finfo(mass.dtype).tiny)[:, None]
        )
        emptied = torch.where(missing > 0.0, 0.0, weights[node])
        weights[node] = torch.where(some, mass / (mass + missing), emptied)
    last = last.clamp(min=0)
    stopped = torch.stack(left, 1)[rows, last]
    return BatchedVerdict(last, _sampled(stopped, noise.draws[rows, last]))


def block(batch: TreeBatch, target_laws: torch.Tensor, noise: BatchedNoise) -> BatchedVerdict:
    """Block: on a chain, traversal reads the same coins in the same order against the same chances.

    Raises InvalidInput for trees that branch.
    """
    if max(map(len, batch.draws)) > 1:
        raise InvalidInput("rule 'block' verifies chains, got trees that branch; take 'traversal'")
    return traversal(batch, target_laws, noise)


BATCHED: dict[str, BatchedRule] = {
    "target_sample": target_sample,
    "rejection": rejection,
    "rejection_without_replacement": rejection,
    "k_seq": k_seq,
    "block": block,
    "traversal": traversal,
}


def _candidates(batch: TreeBatch, rows: torch.Tensor, node: int) -> Iterator[tuple[int, torch.Tensor]]:
    return zip(batch.draws[node], batch.proposal_laws(rows, node), strict=True)


def _walked_down(
    batch: TreeBatch,
    target_laws: torch.Tensor,
    noise: BatchedNoise,
    decide: Callable[[torch.Tensor, int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> BatchedVerdict:
    """Follow each tree's path; decide(rows, node, laws) gives the child taken (or `node`), and the rest."""
    last = torch.zeros_like(batch.tokens[:, 0])
    following = torch.zeros_like(last)
    for node in range(len(batch.draws)):  # parents come before their children
        rows = torch.nonzero(last == node)[:, 0]
        if len(rows):
            chosen, law = decide(rows, node, target_laws[rows, node])
            stays = chosen == node
            last[rows] = chosen
            following[rows[stays]] = _sampled(law[stays], noise.draws[rows[stays], node])
    return BatchedVerdict(last, following)


def _residual(law: torch.Tensor, served: torch.Tensor) -> torch.Tensor:
    left = (law - served).clamp(min=0.0)
    mass = left.sum(-1, keepdim=True)
    return torch.where(mass > 0.0, left / mass, law)


def _sampled(laws: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """[...] tokens drawn from laws [..., vocab] by inverting the cumulated law, as UniformNoise does."""
    cumulated = laws.cumsum(-1)
    tokens = torch.searchsorted(cumulated, (draws * cumulated[..., -1])[..., None], right=True)[..., 0]
    ids = torch.arange(laws.shape[-1], device=laws.device)
    return torch.minimum(tokens, torch.where(laws > 0.0, ids, 0).amax(-1))


def _division_factors(law: torch.Tensor, proposal: torch.Tensor, tries: int) -> torch.Tensor:
    def is_enough(rho: torch.Tensor) -> torch.Tensor:
        beta = torch.minimum(proposal, law / rho).sum(1, keepdim=True)
        return rho * beta >= 1.0 - (1.0 - beta.clamp(max=1.0)) ** tries

    low = torch.ones_like(law[:, :1])
    high = torch.where(is_enough(low), low, float(tries))
    for _ in range(BISECTION_STEPS):
        middle = (low + high) / 2.0
        enough = is_enough(middle)
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high


def _depth_first(draws: tuple[tuple[int, ...], ...]) -> Iterator[tuple[int, int, int, bool]]:
    """(node, place of the draw, child, whether the child is being left) in the order of a depth-first walk.

    A repeated draw is left at once.
    """
    stack = [(0, 0)]
    while stack:
        node, place = stack.pop()
        if place < len(draws[node]):
            child = draws[node][place]
            stack.append((node, place + 1))
            if child in draws[node][:place]:
                yield node, place, child, True
            else:
                yield node, place, child, False
                stack.append((child, 0))
        elif stack:
            parent, tried = stack[-1]
            yield parent, tried - 1, node, True
