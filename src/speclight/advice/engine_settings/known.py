"""The engines that settings are written for."""

from __future__ import annotations

from collections.abc import Sequence

from speclight.advice.engine_settings.engine import Engine, EngineSettings, settings_for
from speclight.advice.engine_settings.llamacpp import LlamaCpp
from speclight.advice.engine_settings.sglang import Sglang
from speclight.advice.engine_settings.speclight_settings import Speclight
from speclight.advice.engine_settings.tensorrt_llm import TensorRtLlm
from speclight.advice.engine_settings.transformers_settings import Transformers
from speclight.advice.engine_settings.vllm import Vllm
from speclight.advice.plan import Plan

ENGINES: tuple[Engine, ...] = (Speclight(), Vllm(), Sglang(), TensorRtLlm(), LlamaCpp(), Transformers())


def all_settings(plans: Sequence[Plan]) -> tuple[EngineSettings, ...]:
    """The settings of every engine; plans as for `settings_for`."""
    return tuple(settings_for(engine, plans) for engine in ENGINES)
