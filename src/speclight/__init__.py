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
    from speclight.drafting.drafters import DRAFTERS
    from speclight.drafting.settings import DrafterSettings
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
    "Bound",
    "CallTrace",
    "Conversation",
    "DecodeOptions",
    "DraftTree",
    "DrafterSettings",
    "Generation",
    "SamplingSettings",
    "SpeclightError",
    "bounds",
    "generate",
    "generate_batch",
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
    "DRAFTERS": "speclight.drafting.drafters:DRAFTERS",
    "RULES": "speclight.verification.rules:RULES",
    "Bound": "speclight.theory.bound:Bound",
    "CallTrace": "speclight.decoding.call_trace:CallTrace",
    "Conversation": "speclight.decoding.conversation:Conversation",
    "DecodeOptions": "speclight.decoding.options:DecodeOptions",
    "DraftTree": "speclight.trees.draft_tree:DraftTree",
    "DrafterSettings": "speclight.drafting.settings:DrafterSettings",
    "Generation": "speclight.decoding.generate:Generation",
    "SamplingSettings": "speclight.models.sampling_settings:SamplingSettings",
    "SpeclightError": "speclight.errors:SpeclightError",
    "bounds": "speclight.theory.known:bounds_from_moments",
    "generate": "speclight.decoding.generate:generate",
    "generate_batch": "speclight.decoding.generate:generate_batch",
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
