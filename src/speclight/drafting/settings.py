"""What can be chosen about a drafter."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from speclight.drafting.race_confidence import AcceptanceByConfidence
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.sampling import SamplingSettings
from speclight.trees.draft_tree import DraftKind
from speclight.trees.limited_growth import GrowthLimits
from speclight.trees.static_optimum import RankPath

Vocabulary = Literal["same", "shared"]


@dataclass(frozen=True, slots=True)
class DrafterSettings:
    """How to draft; each drafter and each tree takes the options it has a use for, any other is refused.

    tree: a name of drafting/tree_choice.py; None: "best_first" for deterministic drafts, "chain" for sampled
    ones. kind: whether candidates are the most probable ones or samples. sampling: the target's settings;
    a drafting model's law is processed with them (see `law_sampling`).
    weights: of `model` and `two_stage`: what `load_weights` takes, or a model already loaded. vocabulary:
    "same" demands the target's tokens, "shared" drafts those both have. layers: of `layer_skip` and
    `two_stage`: how many of the target's first layers draft. limits: of the tree "eagle2". choices: of the
    tree "shape": the ranks from the root to each drafted node. acceptance: of the trees "static" and "rank":
    how often the candidate of each rank is the accepted one. noise_sets: of the tree "lists", one chain each.
    confidence: of the tree "confidence": the same rates by the drafter's confidence. least_probability: of
    the tree "threshold": only paths above it are drafted.
    """

    tree: str | None = None
    kind: DraftKind = "deterministic"
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    weights: str | CausalLM | None = None
    vocabulary: Vocabulary = "same"
    layers: int | None = None
    limits: GrowthLimits = field(default_factory=GrowthLimits)
    choices: tuple[RankPath, ...] = ()
    acceptance: tuple[float, ...] = ()
    noise_sets: int | None = None
    confidence: AcceptanceByConfidence | None = None
    least_probability: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(DraftKind):
            raise InvalidInput(f"got kind {self.kind!r}, expected one of {', '.join(get_args(DraftKind))}")
        if self.vocabulary not in ("same", "shared"):
            raise InvalidInput(f"got vocabulary {self.vocabulary!r}, expected same or shared")

    @property
    def tree_name(self) -> str:
        """The tree asked for, or the kind's default."""
        default = {"deterministic": "best_first", "gls": "lists"}.get(self.kind, "chain")
        return self.tree or default

    @property
    def law_sampling(self) -> SamplingSettings:
        """How a drafting model's logits become the law that trees are grown from.

        Samples: as the target's do, so that both laws are processed alike. Deterministic drafts: at the
        target's temperature, without top-k and top-p, which would only leave room in the tree unused; for
        greedy decoding at temperature 1, because the question is which token the target may find best, and
        the drafter's law answers that, not its own certainty.
        """
        if self.kind == "deterministic":
            return SamplingSettings(self.sampling.temperature or 1.0)
        return self.sampling

    def given(self) -> set[str]:
        """Options that differ from their defaults."""
        plain = DrafterSettings()
        return {
            option.name
            for option in fields(self)
            if getattr(self, option.name) != getattr(plain, option.name)
        }
