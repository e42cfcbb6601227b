"""How the fields of option and settings classes are spelled as flags: one spelling for one thing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from cyclopts import Parameter, Token, convert, default_name_transform

from speclight.advice.validation_settings import ValidationSettings
from speclight.decoding.settings import AUTO, Auto, DecodeSettings
from speclight.experiments.drafters.replay_settings import ReplaySettings
from speclight.experiments.drafters.settings import DrafterComparisonSettings
from speclight.experiments.limits.settings import LimitsTestSettings
from speclight.experiments.many_to_one_settings import ManyToOneSettings
from speclight.experiments.papers.settings import PapersSettings
from speclight.experiments.races.settings import RaceExperimentSettings
from speclight.experiments.races.text_settings import RaceTextSettings
from speclight.experiments.scores.settings import ScoreTestSettings
from speclight.experiments.trees.settings import TreeSettings
from speclight.measure.decoded_run.settings import DecodedRunSettings
from speclight.measure.drafter_profile_settings import DrafterProfileSettings
from speclight.measure.latency.settings import LatencySettings
from speclight.measure.oracle_settings import OracleSettings
from speclight.measure.profile_settings import ProfileSettings
from speclight.measure.trace.settings import TraceSettings
from speclight.models.sampling_settings import SamplingSettings
from speclight.training.conversation_settings import ConversationSettings
from speclight.training.training_settings import TrainingSettings

# Settings name what they hold, many or one, for readers of code; a command takes one or several.
SPELLED = {
    "node_budget": "budget",
    "node_budgets": "budget",
    "decode_budgets": "decode-budget",
    "temperatures": "temperature",
    "tree_temperatures": "tree-temperature",
    "tree_drafters": "tree-drafter",
    "growths": "growth",
    "rules": "rule",
    "stop_strings": "stop",
    "record_ranks": "ranks",
    "tokens": "max-tokens",
}
# Fields of settings classes that only a program can give: functions, sets of ids, what is derived.
NOT_FLAGS = (
    "processors",
    "stop_token_ids",
    "stop_criteria",
    "record_target_log_probs",
    "record_expected_tokens",
)
SEVERAL_NUMBERS = (tuple[int, ...], tuple[float, ...])
WHOLE_NUMBERS = (int, tuple[int, ...], int | Auto)
WHOLE = re.compile(r"[+-]?\d[\d_]*")


def spelled(name: str) -> str:
    """The flag of a field, without its dashes."""
    return SPELLED.get(name) or default_name_transform(name)


def _converted(type_: Any, tokens: Sequence[Token]) -> Any:
    """Several numbers may stand between commas, as in `--budget 8,16,60`; whole ones are never rounded."""
    if type_ in SEVERAL_NUMBERS:
        tokens = [token.evolve(value=part) for token in tokens for part in token.value.split(",")]
    if type_ in WHOLE_NUMBERS:
        for token in tokens:
            is_word = type_ == int | Auto and token.value == AUTO
            if not is_word and WHOLE.fullmatch(token.value.strip()) is None:
                or_auto = f" or {AUTO}" if type_ == int | Auto else ""
                raise ValueError(f"got {token.value!r}, expected a whole number{or_auto}")
    return convert(type_, tokens)


# Settings of the library that commands fill: their fields are flags beside the command's own.
for settings in (
    ConversationSettings,
    DecodeSettings,
    DecodedRunSettings,
    DrafterComparisonSettings,
    DrafterProfileSettings,
    LatencySettings,
    LimitsTestSettings,
    ManyToOneSettings,
    OracleSettings,
    PapersSettings,
    ProfileSettings,
    RaceExperimentSettings,
    RaceTextSettings,
    ReplaySettings,
    SamplingSettings,
    ScoreTestSettings,
    TraceSettings,
    TrainingSettings,
    TreeSettings,
    ValidationSettings,
):
    Parameter(name="*")(settings)


def without(name: str) -> Parameter:
    """Of an embedded settings class: no flag for this field, which the command works out itself."""
    return Parameter(parse=re.compile(f"^(?!{name}$)"))


def _told_default(value: object) -> str | None:
    """A default as it would be typed; nothing of one that says no more than its flag being left out."""
    if value is None or value is False or value == ():
        return None
    if isinstance(value, tuple):
        between = ", " if any(isinstance(item, str) for item in value) else ","
        return between.join(map(str, value))
    return str(value)


FLAGS = Parameter(
    name_transform=spelled,
    show_default=_told_default,
    converter=_converted,
    parse=re.compile(f"^(?!({'|'.join(NOT_FLAGS)})$)"),
    negative_iterable=(),  # an empty list of prompts is asked for by leaving the flag out
)
