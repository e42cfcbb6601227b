"""speclight: the yardstick of speculative decoding."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers and editors, which do not run __getattr__
    from speclight.decoding.call_trace import CallTrace
    from speclight.decoding.conversation import Conversation
    from speclight.decoding.generate import Generation, generate, generate_batch, stream
    from speclight.decoding.options import DecodeOptions
    from speclight.decoding.transformers_generate import transformers_generate
    from speclight.drafting.drafter_choices import (
        DRAFTERS,
        Eagle3,
        LayerSkip,
        Lookahead,
        Medusa,
        Model,
        NGram,
        Oracle,
        Plain,
        TwoStage,
    )
    from speclight.drafting.tree_choices import (
        Batch,
        BestFirst,
        Chain,
        ConfidenceTree,
        Eagle2,
        Lists,
        RankTree,
        Shape,
        Static,
        Threshold,
    )
    from speclight.engines.text_files import limits_from_file
    from speclight.errors import SpeclightError
    from speclight.measure.public import oracle, profile
    from speclight.models.load import load
    from speclight.models.sampling_settings import SamplingSettings
    from speclight.models.wrap import wrap
    from speclight.theory.bound import Bound
    from speclight.theory.known import bounds_from_moments as bounds
    from speclight.theory.log_prob_limits import limits_from_log_probs
    from speclight.trees.draft_tree import DraftTree
    from speclight.verification.rules import RULES

__all__ = [
    "DRAFTERS",
    "RULES",
    "Batch",
    "BestFirst",
    "Bound",
    "CallTrace",
    "Chain",
    "ConfidenceTree",
    "Conversation",
    "DecodeOptions",
    "DraftTree",
    "Eagle2",
    "Eagle3",
    "Generation",
    "LayerSkip",
    "Lists",
    "Lookahead",
    "Medusa",
    "Model",
    "NGram",
    "Oracle",
    "Plain",
    "RankTree",
    "SamplingSettings",
    "Shape",
    "SpeclightError",
    "Static",
    "Threshold",
    "TwoStage",
    "bounds",
    "generate",
    "generate_batch",
    "limits_from_file",
    "limits_from_log_probs",
    "load",
    "oracle",
    "profile",
    "stream",
    "transformers_generate",
    "wrap",
]
__version__ = "0.1.0"

# Public name -> where it is defined, imported at first use: torch alone takes seconds.
_PUBLIC = {
    "DRAFTERS": "speclight.drafting.drafter_choices:DRAFTERS",
    "RULES": "speclight.verification.rules:RULES",
    "Batch": "speclight.drafting.tree_choices:Batch",
    "BestFirst": "speclight.drafting.tree_choices:BestFirst",
    "Bound": "speclight.theory.bound:Bound",
    "CallTrace": "speclight.decoding.call_trace:CallTrace",
    "Chain": "speclight.drafting.tree_choices:Chain",
    "ConfidenceTree": "speclight.drafting.tree_choices:ConfidenceTree",
    "Conversation": "speclight.decoding.conversation:Conversation",
    "DecodeOptions": "speclight.decoding.options:DecodeOptions",
    "DraftTree": "speclight.trees.draft_tree:DraftTree",
    "Eagle2": "speclight.drafting.tree_choices:Eagle2",
    "Eagle3": "speclight.drafting.drafter_choices:Eagle3",
    "Generation": "speclight.decoding.generate:Generation",
    "LayerSkip": "speclight.drafting.drafter_choices:LayerSkip",
    "Lists": "speclight.drafting.tree_choices:Lists",
    "Lookahead": "speclight.drafting.drafter_choices:Lookahead",
    "Medusa": "speclight.drafting.drafter_choices:Medusa",
    "Model": "speclight.drafting.drafter_choices:Model",
    "NGram": "speclight.drafting.drafter_choices:NGram",
    "Oracle": "speclight.drafting.drafter_choices:Oracle",
    "Plain": "speclight.drafting.drafter_choices:Plain",
    "RankTree": "speclight.drafting.tree_choices:RankTree",
    "SamplingSettings": "speclight.models.sampling_settings:SamplingSettings",
    "Shape": "speclight.drafting.tree_choices:Shape",
    "SpeclightError": "speclight.errors:SpeclightError",
    "Static": "speclight.drafting.tree_choices:Static",
    "Threshold": "speclight.drafting.tree_choices:Threshold",
    "TwoStage": "speclight.drafting.drafter_choices:TwoStage",
    "bounds": "speclight.theory.known:bounds_from_moments",
    "generate": "speclight.decoding.generate:generate",
    "generate_batch": "speclight.decoding.generate:generate_batch",
    "limits_from_file": "speclight.engines.text_files:limits_from_file",
    "limits_from_log_probs": "speclight.theory.log_prob_limits:limits_from_log_probs",
    "load": "speclight.models.load:load",
    "oracle": "speclight.measure.public:oracle",
    "profile": "speclight.measure.public:profile",
    "stream": "speclight.decoding.generate:stream",
    "transformers_generate": "speclight.decoding.transformers_generate:transformers_generate",
    "wrap": "speclight.models.wrap:wrap",
}


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'speclight' has no attribute {name!r}; it has {', '.join(_PUBLIC)}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value  # later look-ups do not come here again
    return value


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, "__version__"])
