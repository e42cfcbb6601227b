"""Drafts of samples and of races, as the command line writes them: RULE or RULE:TREE."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.drafting.tree_names import read_tree
from speclight.errors import InvalidInput
from speclight.measure.trace.settings import CHAIN
from speclight.trees.draft_tree import DraftKind
from speclight.verification.rule import VerifyRule
from speclight.verification.rules import rule_named

# What can be asked for: rules that flip coins over samples, and races. Kinds of a rule, the first one first.
SAMPLED_RULES = (
    "rejection",
    "rejection_without_replacement",
    "k_seq",
    "block",
    "traversal",
    "race",
    "race_with_replacement",
)
KINDS: tuple[DraftKind, ...] = ("race", "race_with_replacement", "without_replacement", "with_replacement")


@dataclass(frozen=True, slots=True)
class SampledDraft:
    """A rule, and the tree of samples or race candidates that it verifies. tree: as it was written."""

    rule: VerifyRule
    tree: str
    kind: DraftKind


def read_sampled(text: str) -> SampledDraft:
    """What RULE or RULE:TREE says; without a tree a chain.

    Raises InvalidInput for a rule that verifies no samples, and for a tree that holds none of its kind.
    """
    name, _, tree = text.partition(":")
    if name not in SAMPLED_RULES:
        raise InvalidInput(
            f"got the sampled draft {text!r}, expected RULE or RULE:TREE with one of the rules "
            f"{', '.join(SAMPLED_RULES)}",
            argument="sampled",
        )
    rule = rule_named(name)
    kind: DraftKind = next(kind for kind in KINDS if kind in rule.draft_kinds)
    read_tree(tree or CHAIN, kind)
    return SampledDraft(rule, tree or CHAIN, kind)
