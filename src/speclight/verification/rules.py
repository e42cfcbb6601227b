"""The rules by name."""

from __future__ import annotations

from speclight.errors import InvalidInput
from speclight.verification.block import Block
from speclight.verification.gls import Gls
from speclight.verification.greedy import Greedy
from speclight.verification.k_seq import KSeq
from speclight.verification.race import Race
from speclight.verification.race_with_replacement import RaceWithReplacement
from speclight.verification.rejection import Rejection
from speclight.verification.rejection_without_replacement import RejectionWithoutReplacement
from speclight.verification.rule import VerifyRule
from speclight.verification.target_sample import TargetSample
from speclight.verification.traversal import Traversal
from speclight.verification.typical import Typical

RULES: dict[str, VerifyRule] = {
    "greedy": Greedy(),
    "target_sample": TargetSample(),
    "rejection": Rejection(),
    "rejection_without_replacement": RejectionWithoutReplacement(),
    "k_seq": KSeq(),
    "block": Block(),
    "traversal": Traversal(),
    "race": Race(),
    "race_with_replacement": RaceWithReplacement(),
    "gls": Gls(),
    "typical": Typical(),
}


def rule_named(name: str) -> VerifyRule:
    """The rule of that name. Raises InvalidInput listing the known ones."""
    if name not in RULES:
        raise InvalidInput(f"no verification rule is called {name!r}; known: {known_rules()}")
    return RULES[name]


def known_rules() -> str:
    """All names for help texts and messages, those of lossy rules marked."""
    return ", ".join(name if rule.is_lossless else f"{name} (lossy)" for name, rule in RULES.items())
