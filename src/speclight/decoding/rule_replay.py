"""A rule alone, at full speed: drafts and verdicts on memorised laws, no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.decoding.noise_streams import SeededNoise
from speclight.decoding.string_law import LENGTH, StringLaw, TokenString
from speclight.drafting.along_text import at_end
from speclight.drafting.growth_start import growth_start
from speclight.drafting.protocol import DraftNoise, LawSource
from speclight.drafting.tree_choices import TreeChoice
from speclight.models.causal_lm import CausalLM
from speclight.trees.draft_tree import DraftTree, root_only
from speclight.trees.growing_tree import CandidateLaw, GrowingTree, grown
from speclight.verification.rule import VerifyRule

NO_CANDIDATES = CandidateLaw(np.array([], dtype=np.int64), np.array([]))


@dataclass(frozen=True, slots=True)
class _SmallVocabulary:
    """The strings' tokens and one for all others, see TokenSet."""

    vocabulary_size: int
    end_of_text: frozenset[int]


class RuleReplay:
    """Strings of LENGTH tokens by drafting and verifying on the laws of a StringLaw.

    The tokens are numbered anew: those that some string holds, and one last number for all others, which the
    target never emits. Target and drafter are known after every unfinished string; further on, where it
    cannot matter for the string, both follow the law after the string's first LENGTH - 1 tokens, so that
    drafts of any depth are verified.

    source: the drafter's law, asked for once after each text; None drafts nothing.
    """

    def __init__(
        self,
        target: CausalLM,
        prompt_ids: list[int],
        law: StringLaw,
        rule: VerifyRule,
        node_budget: int,
        source: LawSource | None,
        tree: TreeChoice,
    ) -> None:
        self._rule, self._node_budget, self._kind = rule, node_budget, tree.kind
        self._prompt_tokens = len(prompt_ids)
        self._tokens = sorted({token for string in law.strings for token in string})
        number = {token: index for index, token in enumerate(self._tokens)}
        self._ends = frozenset(number[token] for token in target.end_of_text if token in number)
        size = len(number) + 1
        self._targets: dict[TokenString, FloatArray] = {}
        self._drafts: dict[TokenString, CandidateLaw] = {}
        for context, sparse in law.contexts.items():
            numbered = tuple(number[token] for token in context)
            dense = np.zeros(size)
            dense[[number[token] for token in sparse.tokens.tolist()]] = sparse.probabilities
            self._targets[numbered] = dense
            if source is not None:
                known = at_end(target, source, [*prompt_ids, *context]).law()
                self._drafts[numbered] = _numbered(known, number, size)
        self._start = growth_start(tree, _SmallVocabulary(size, self._ends))
        self._certain: dict[TokenString, DraftTree] = {}

    def string(self, seed: int) -> TokenString:
        """One string, in the target's tokens."""
        noise = SeededNoise(seed)
        string: TokenString = ()
        while len(string) < LENGTH and not (string and string[-1] in self._ends):
            noise.at(self._prompt_tokens + len(string))
            tree = self._tree(string, noise.for_draft())
            verdict = self._rule.verify(tree, self._laws(string, tree), noise.for_verification(tree))
            for token in verdict.tokens(tree)[: LENGTH - len(string)]:
                string = (*string, token)
                if token in self._ends:
                    break
        # The number of all other tokens stands for no token in particular: -1 makes the string impossible.
        return tuple(self._tokens[token] if token < len(self._tokens) else -1 for token in string)

    def _laws(self, string: TokenString, tree: DraftTree) -> Callable[[int], FloatArray]:
        def law(node: int) -> FloatArray:
            context = (*string, *tree.tokens[tree.path(node)[1:]].tolist())[: LENGTH - 1]
            # A drafted token the target never emits has no law after it; verification asks all the same.
            return self._targets.get(context, self._targets[()])

        return law

    def _tree(self, string: TokenString, noise: DraftNoise) -> DraftTree:
        if not self._drafts:
            return root_only(string[-1] if string else len(self._tokens))
        if self._kind != "deterministic":
            return self._grown(string, noise)
        if string not in self._certain:
            self._certain[string] = self._grown(string, noise)
        return self._certain[string]

    def _grown(self, string: TokenString, noise: DraftNoise) -> DraftTree:
        def laws(known: GrowingTree, nodes: list[int]) -> list[CandidateLaw]:
            contexts = [(*string, *known.token_path(node))[: LENGTH - 1] for node in nodes]
            return [self._drafts.get(context, NO_CANDIDATES) for context in contexts]

        root = string[-1] if string else len(self._tokens)
        return grown(self._start(root, self._node_budget, noise), laws).tree


def _numbered(law: CandidateLaw, number: dict[int, int], size: int) -> CandidateLaw:
    """The law in the small vocabulary; all other tokens are one."""
    dense = np.zeros(size)
    tokens = [number.get(token, size - 1) for token in law.tokens.tolist()]
    np.add.at(dense, tokens, np.exp(law.log_probs))
    kept = np.flatnonzero(dense)
    return CandidateLaw(kept, np.minimum(np.log(dense[kept]), 0.0))
