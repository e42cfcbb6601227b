"""A decode whose every factor is known: a target uniform on two tokens, drafted for and timed by plan.

The best tree of P = 7 nodes is the full binary one. It emits exactly 3 tokens in every call, and 3 is the
decode bound of such texts too. So in the faultless world every factor is 1, and whatever is planted is all
that can show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.advice.waterfall import PhaseTotals, RunTotals
from speclight.theory.ergodic.decode import decode_bound
from speclight.theory.laws.sampled_text import SampledText
from speclight.trees.best_first import BestFirstGrowth
from speclight.trees.draft_tree import DraftTree
from speclight.trees.growing_tree import CandidateLaw, Growth, grown
from speclight.trees.shapes import TopRankGrowth, batch

P = 7
TARGET = (0.5, 0.5, 0.0, 0.0)
# Knows the target's two tokens, but holds two others for likelier.
BAD_DRAFTER = (0.15, 0.1, 0.4, 0.35)

# Knows nothing: no draft of it is ever accepted.
IGNORANT = (0.0, 0.0, 0.6, 0.4)


@dataclass(frozen=True)
class Faults:
    """What is planted; the faultless world by default.

    drafter: [vocab] its law, the same everywhere. wide: only children of the root are drafted. blind: the
    rule drops whatever is accepted beyond the first draft. call: seconds of a target call for trees; plain:
    of one without. draft, loop, plain_loop: seconds a call.
    """

    drafter: tuple[float, ...] = TARGET
    wide: bool = False
    blind: bool = False
    call: float = 1.0
    plain: float = 1.0
    draft: float = 0.0
    loop: float = 0.0
    plain_loop: float = 0.0


def tree_under(law: tuple[float, ...], wide: bool = False) -> DraftTree:
    growth: Growth = TopRankGrowth(0, batch(P - 1)) if wide else BestFirstGrowth(0, P)
    known = CandidateLaw.most_probable(np.array(law), len(law))
    return grown(growth, lambda _, nodes: [known] * len(nodes)).tree


def worth(tree: DraftTree) -> float:
    """E[X]: each token of the target's has probability one half."""
    chances = [1.0]
    for token, parent in zip(tree.tokens[1:].tolist(), tree.parents[1:].tolist(), strict=True):
        chances.append(chances[parent] * TARGET[token])
    return sum(chances)


def worth_when_blind(tree: DraftTree) -> float:
    return 1.0 + sum(TARGET[token] for token in tree.tokens[tree.children(0)].tolist())


def planted_run(faults: Faults, prompts: int = 40, tokens: int = 120, seed: int = 0) -> RunTotals:
    """Decode `prompts` texts of so many tokens by the planted means, call after call."""
    rng = np.random.default_rng(seed)
    tree = tree_under(faults.drafter, faults.wide)
    calls, accepted = np.zeros(prompts), np.zeros(prompts)
    for number in range(prompts):
        emitted = 0
        while emitted < tokens:
            reached = 1 + len(tree.follow(rng.integers(2, size=P).tolist()))
            reached = min(reached, 2) if faults.blind else reached
            calls[number] += 1
            accepted[number] += reached
            emitted += reached
    texts = [SampledText(np.full(tokens, np.log(2.0)), True, f"p{number}") for number in range(prompts)]
    bound = decode_bound(texts, P)
    expected = worth(tree)
    each = np.full(prompts, float(tokens))
    return RunTotals(
        prompt_ids=tuple(f"p{number}" for number in range(prompts)),
        bound_tokens=each,
        bound_calls=bound.costs,
        starts=calls,
        oracle=calls * worth(tree_under(TARGET)),
        best=calls * worth(tree_under(faults.drafter)),
        tree=calls * expected,
        rule=calls * (worth_when_blind(tree) if faults.blind else expected),
        accepted=accepted,
        emitted=each,
        drafted=PhaseTotals(calls, calls * faults.call, calls * faults.draft, calls * faults.loop),
        plain=PhaseTotals(each, each * faults.plain, np.zeros(prompts), each * faults.plain_loop),
    )
