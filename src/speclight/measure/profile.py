"""A target's entropy profile along its own text, kept per token: what `run_profile` leaves, and reading it.

Free of torch and Transformers, so that bounds of a profile are shown at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from speclight.arrays import FloatArray
from speclight.measure.listed_tops import read_tops, with_tops
from speclight.measure.profile_settings import ProfileSettings as ProfileSettings
from speclight.measure.recorded_laws import read_laws
from speclight.measure.step_histogram import read_histograms
from speclight.measure.store import read_plan, read_table, reading
from speclight.measure.text_keys import text_key
from speclight.models.sampling_settings import SamplingSettings
from speclight.theory.laws.likely_tokens import LikelyTokens
from speclight.theory.laws.listed_tokens import ListedTokens
from speclight.theory.laws.sampled_text import SampledText, recent_surprisal_mean
from speclight.theory.laws.step_law import StepLaw, from_surprisals

# Surprisals before a start that its feature averages where there is no entropy.
RECENT = 16

KIND = "profile"
# Records of a profile's starts, and the folder below theirs that holds the profile.
TRACE_KIND, TEXTS = "trace", "texts"


@dataclass(frozen=True, slots=True, eq=False)
class ProfiledText:
    """One sampled text. Arrays have one entry per generated token, the end-of-text token included.

    log_probs: of the sampled token, nats. entropies, second_log_moments: of the law it was sampled from,
    nats and nats², or None where only sampled log-probabilities are known. token_ids: empty where an endpoint
    gave none. ended: whether the last token is an end of text. likely: the likely part of those laws, where
    they were kept. listed: likely tokens beside the sampled ones, where an endpoint was asked for some. turn:
    of the prompt, from 1; prompt_token_ids then hold the conversation before it.
    """

    prompt_id: str
    family: str
    sample: int
    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    log_probs: FloatArray
    entropies: FloatArray | None
    second_log_moments: FloatArray | None
    ended: bool
    likely: LikelyTokens | None = None
    turn: int = 1
    listed: ListedTokens | None = None

    @property
    def key(self) -> tuple[str | int, ...]:
        """What names the text among those of a profile, see `text_key`."""
        return text_key(self.prompt_id, self.sample, self.turn)


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """All texts of a profile, and the step law of each family from full laws.

    folder: where it was read; None if it was put together in memory.
    """

    settings: ProfileSettings
    texts: tuple[ProfiledText, ...]
    step_laws: dict[str, StepLaw]
    folder: Path | None = None

    @property
    def families(self) -> tuple[str, ...]:
        """Families in order of appearance."""
        return tuple(dict.fromkeys(text.family for text in self.texts))

    def of_family(self, family: str) -> tuple[ProfiledText, ...]:
        """The texts of one family."""
        return tuple(text for text in self.texts if text.family == family)

    def sampled_texts(self, family: str) -> list[SampledText]:
        """The family's texts as the ergodic bound takes them, with their laws where the profile kept them.

        The feature of a start is its entropy, or the mean of the last surprisals where there are no
        entropies.
        """
        return [
            SampledText(
                surprisals=-text.log_probs,
                ended=text.ended,
                prompt_id=text.prompt_id,
                features=recent_surprisal_mean(-text.log_probs, RECENT)
                if text.entropies is None
                else text.entropies,
                length_limit=self.settings.max_tokens,
                likely=text.likely,
                listed=text.listed,
            )
            for text in self.of_family(family)
        ]


def read_profile(folder: Path) -> Profile:
    """The profile that `run_profile` left in a folder; of a trace's folder, that of its texts.

    Raises StorageError if it is not finished.
    """
    if read_plan(folder)["kind"] == TRACE_KIND:
        folder = folder / TEXTS
    with reading(folder, KIND) as plan:
        settings = ProfileSettings(
            **{**plan["settings"], "sampling": SamplingSettings(**plan["settings"]["sampling"])}
        )
        names = [unit_name(number, "") for number in range(plan["batches"])]
        texts = [text for name in names for text in _read_texts(folder, name)]
        if "engine" in plan:
            texts = _with_recorded_tops(folder, names, texts)
            return Profile(settings, tuple(texts), _sampled_step_laws(texts), folder)
        order = list(dict.fromkeys(prompt["family"] for prompt in plan["prompts"]))
        texts.sort(key=lambda text: order.index(text.family))  # batches hold texts of all families
        histograms = read_histograms(folder, [f"{name}step-law" for name in names])
        laws = {family: histograms[family].step_law() for family in order}
        return Profile(settings, tuple(texts), laws, folder)


def unit_name(batch: int, part: str) -> str:
    """The name of a unit of a batch, the batch's own prefix where part is empty."""
    return f"batch-{batch:04d}-{part}"


def _with_recorded_tops(folder: Path, names: list[str], texts: list[ProfiledText]) -> list[ProfiledText]:
    found = [read_tops(folder, f"{name}top") for name in names]
    tops = [top for unit in found if unit is not None for top in unit]
    return with_tops(texts, tops) if len(tops) == len(texts) else texts


def _sampled_step_laws(texts: list[ProfiledText]) -> dict[str, StepLaw]:
    """The step law of each family from sampled log-probabilities alone."""
    laws: dict[str, StepLaw] = {}
    for family in dict.fromkeys(text.family for text in texts):
        members = [text for text in texts if text.family == family]
        ends = [np.arange(len(text.log_probs)) == len(text.log_probs) - 1 for text in members]
        laws[family] = from_surprisals(
            np.concatenate([-text.log_probs for text in members]),
            ends=np.concatenate([last & text.ended for last, text in zip(ends, members, strict=True)]),
        )
    return laws


def _read_texts(folder: Path, name: str) -> list[ProfiledText]:
    tokens = read_table(folder, f"{name}tokens").to_pydict()
    texts: list[ProfiledText] = []
    start = 0
    rows = read_table(folder, f"{name}texts").to_pylist()
    laws = read_laws(folder, f"{name}laws", [row["tokens"] for row in rows])
    for row, likely in zip(rows, laws, strict=True):
        own = slice(start, start + row["tokens"])
        start = own.stop
        texts.append(
            ProfiledText(
                row["prompt_id"],
                row["family"],
                row["sample"],
                tuple(row["prompt_token_ids"]),
                tuple(token for token in tokens["token_id"][own] if token is not None),
                np.array(tokens["log_prob_nats"][own]),
                _known(tokens["entropy_nats"][own]),
                _known(tokens["second_log_moment_nats2"][own]),
                row["ended"],
                likely,
                row.get("turn", 1),
            )
        )
    return texts


def _known(column: list[float | None]) -> FloatArray | None:
    """A column as an array, or None where an endpoint could not give it."""
    return None if None in column else np.array(column)
