"""Options of the commands that decode speculatively: who drafts, which trees, and how they are verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cyclopts import Parameter

from speclight.errors import InvalidInput

if TYPE_CHECKING:
    from speclight.drafting.settings import DrafterSettings
    from speclight.verification.rule import VerifyRule


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DraftingOptions:
    """Drafter and rule; a field of the options of every command that decodes."""

    drafter: str = "ngram"
    """Who drafts: none (plain decoding), ngram, lookahead, layer_skip, model, two_stage, eagle3, medusa, or
    oracle."""
    rule: str = "target_sample"
    """How drafts are verified: target_sample, greedy, rejection, traversal, race, ...; typical is lossy."""
    budget: int = 8
    """Node budget P: positions scored in one target call, root included; a ceiling."""
    tree: str | None = None
    """Shape of the drafts: best_first, chain, batch and others; the default of the kind if not given."""
    kind: str | None = None
    """How candidates are chosen: deterministic, with_replacement, without_replacement, race and others; the
    first one that the rule verifies if not given."""
    draft_model: str | None = None
    """Weights of the drafters model and two_stage: a folder, a .gguf file, or a hub id. Of eagle3 and medusa:
    the folder of a head; eagle3 has one for the default target."""
    draft_layers: int | None = None
    """How many of the target's first layers draft, for layer_skip and two_stage."""


def drafter_settings(options: DraftingOptions, rule: VerifyRule) -> DrafterSettings:
    """Settings for `drafter_for`. Raises InvalidInput for a kind that does not exist or the rule refuses."""
    from typing import get_args

    from speclight.decoding.generate import default_kind
    from speclight.drafting.settings import DrafterSettings
    from speclight.trees.draft_tree import DraftKind

    kinds: tuple[DraftKind, ...] = get_args(DraftKind)
    chosen = [kind for kind in kinds if kind == (options.kind or default_kind(rule))]
    if not chosen or chosen[0] not in rule.draft_kinds:
        raise InvalidInput(
            f"got kind {options.kind!r} for the rule {rule.name!r}, expected one of "
            f"{', '.join(kind for kind in kinds if kind in rule.draft_kinds)}; leave it out for the first"
        )
    return DrafterSettings(
        tree=options.tree, kind=chosen[0], weights=options.draft_model, layers=options.draft_layers
    )
