"""What a trace looks at: node budgets, growths, and how starts lie in the texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise, product

from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput

UNIFORM, IN_WINDOWS = "uniform positions", "uniform positions, in windows"

CHAIN = "chain"
# What engines offer: best-first trees, EAGLE-2's by depth and width (SGLang's steps and topk), chains (vLLM,
# TensorRT-LLM), and candidates for one token.
DEFAULT_GROWTHS = (
    "best_first",
    "eagle2",
    *(f"eagle2={depth},{width},{width}" for depth in (2, 4, 8) for width in (2, 4, 8)),
    "threshold=0.02",
    "threshold=0.1",
    CHAIN,
    "batch",
)


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """What to trace.

    Raises InvalidInput for counts below 1, budgets that do not rise, and growths given twice; tracing raises
    it for growths that are not deterministic trees as the command line writes them.
    """

    node_budgets: tuple[int, ...] = (4, 8, 16, 32, 64)
    """Node budgets P, root included, as 8,16,64; rising. The largest decides what is recorded."""
    growths: tuple[str, ...] = field(default=DEFAULT_GROWTHS)
    """Draft trees grown for every drafter, as the flag --tree of other commands writes them."""
    best_budget: int | None = None
    """Nodes of the target's own best trees, for which starts have room; the largest --budget if not given."""
    window: int = 16
    """Neighbouring starts to a window; 1 scatters them."""
    windows_per_family: int = 8
    """Windows of each family, at the most, spread evenly over its texts."""
    every: int = 1
    """Take one window in this many, at the most."""
    tokens_ahead: bool = False
    """Start only where P - 1 further tokens of the text follow, or could have: where bounds from texts do."""
    lookahead: int = 16
    """Tokens of the longest chain: drafted, and along the text for the coupling bound of chains."""
    drafter_laws: bool = False
    """Record what Lemma 7 asks about each drafter: both whole laws at every start, in numbers, and the law of
    its -ln q, some hundred kB a text. `speclight bound --drafter-profile` reads it."""
    sampled: tuple[str, ...] = ()
    """Drafts of samples or races besides, as RULE or RULE:TREE, such as block, traversal:rank=0.6,0.2, race:
    at node budgets up to that of the longest chain, with the rule's expected tokens over all of its coins."""
    noises: int = 4
    """Drafts of each sampled tree at each start, each with noise of its own."""
    seed: int = 0
    """Seed of where windows lie, of sampled drafts, and of texts."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, "window", "windows_per_family", "every", "lookahead", "noises")
        budgets = self.node_budgets
        if not budgets or min(budgets) < 1 or any(a >= b for a, b in pairwise(budgets)):
            raise InvalidInput(
                f"got node budgets {budgets}, expected rising numbers >= 1; write 8,16,64",
                argument="node_budgets",
            )
        if self.best_budget is not None and self.best_budget < budgets[-1]:
            raise InvalidInput(
                f"got best trees of {self.best_budget} nodes beside drafted ones of {budgets[-1]}, expected "
                "at least as many; leave it out for as many",
                argument="best_budget",
            )
        if not self.growths or len(set(self.growths)) < len(self.growths):
            raise InvalidInput(
                f"got growths {', '.join(self.growths) or 'none'}, expected each once and at least one",
                argument="growths",
            )

    @property
    def start_law(self) -> str:
        """Where calls start, in words; numbers under different start laws are never comparable."""
        return UNIFORM if self.window == 1 else IN_WINDOWS

    @property
    def trees(self) -> tuple[tuple[str, int], ...]:
        """Growths and node budgets of all trees grown. Chains end at `lookahead`: deeper ones cost much."""
        longest = 1 + self.lookahead
        return tuple(
            dict.fromkeys(
                (growth, min(budget, longest) if growth == CHAIN else budget)
                for growth in self.growths
                for budget in self.node_budgets
            )
        )

    @property
    def sampled_trees(self) -> tuple[tuple[int, int, int], ...]:
        """Place in `sampled`, node budget and noise of all sampled drafts at one start."""
        return tuple(product(range(len(self.sampled)), self.sampled_budgets, range(self.noises)))

    @property
    def sampled_budgets(self) -> tuple[int, ...]:
        """Node budgets of sampled drafts."""
        return tuple(dict.fromkeys(min(budget, 1 + self.lookahead) for budget in self.node_budgets))

    @property
    def largest_budget(self) -> int:
        """P of the target's best trees, to which starts are chosen: no drafted tree is larger."""
        return self.node_budgets[-1] if self.best_budget is None else self.best_budget
