"""The rules by name."""

from __future__ import annotations

from speclight.errors import InvalidInput
from speclight.verification.greedy import Greedy
from speclight.verification.rule import VerifyRule
from speclight.verification.target_sample import TargetSample

RULES: dict[str, VerifyRule] = {"greedy": Greedy(), "target_sample": TargetSample()}


def rule_named(name: str) -> VerifyRule:
    """The rule of that name. Raises InvalidInput listing the known ones."""
    if name not in RULES:
        raise InvalidInput(f"no verification rule is called {name!r}; known: {', '.join(RULES)}")
    return RULES[name]
