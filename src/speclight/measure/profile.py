"""A target's entropy profile along its own text: sampled in batches, resumable, kept per token."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from speclight.arrays import FloatArray, IntArray
from speclight.measure.plan import run_plan
from speclight.measure.profile_settings import ProfileSettings as ProfileSettings
from speclight.measure.prompts import Prompt
from speclight.measure.recorded_laws import RecordedLaws, read_laws
from speclight.measure.step_histogram import StepHistogram, read_histograms
from speclight.measure.store import RecordFolder, read_table, reading, recording
from speclight.models.batch_sampling import SampledContinuation, sample_continuations
from speclight.models.causal_lm import CausalLM
from speclight.models.prompting import chat_token_ids
from speclight.models.sampling import SamplingSettings
from speclight.progress import Progress, silent
from speclight.seeds import derived_seed
from speclight.theory.laws.likely_tokens import LikelyTokens
from speclight.theory.laws.sampled_text import SampledText, recent_surprisal_mean
from speclight.theory.laws.step_law import StepLaw, from_surprisals

# Surprisals before a start that its feature averages where there is no entropy.
RECENT = 16

KIND = "profile"
# The units of a batch that every profile has; the last one written is "tokens".
PARTS = ("texts", "step-law", "tokens")


@dataclass(frozen=True, slots=True, eq=False)
class ProfiledText:
    """One sampled text. Arrays have one entry per generated token, the end-of-text token included.

    log_probs: of the sampled token, nats. entropies, second_log_moments: of the law it was sampled from,
    nats and nats², or None where only sampled log-probabilities are known. token_ids: empty where an endpoint
    gave none. ended: whether the last token is an end of text. likely: the likely part of those laws, where
    they were kept.
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


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """All texts of a profile, and the step law of each family from full laws."""

    settings: ProfileSettings
    texts: tuple[ProfiledText, ...]
    step_laws: dict[str, StepLaw]

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
            )
            for text in self.of_family(family)
        ]


@dataclass(frozen=True, slots=True)
class _Item:
    prompt_id: str
    family: str
    sample: int
    token_ids: tuple[int, ...]
    seed: int


def run_profile(
    model: CausalLM,
    prompts: tuple[Prompt, ...],
    settings: ProfileSettings,
    folder: Path,
    progress: Progress = silent,
    keep_laws: bool = False,
) -> Profile:
    """Sample a text (or several) after every prompt and record what each token's law was.

    The prompt is its first user turn in the target's chat template. The batch is the unit of work: its
    members, padding and thread count are fixed by the plan, finished batches are in place or absent, so a
    run killed at any moment resumes to the same bytes. keep_laws: of the batches still to be sampled, record
    the likely part of each law too; it changes no other record, so it is no part of the plan. Raises
    StorageError if the folder holds another plan.
    """
    batches = _batches(model, prompts, settings)
    with recording(folder, _plan(model, prompts, settings)) as records:
        for number, batch in enumerate(batches):
            laws_are_gone = records.lacks(_name(number, "laws"))
            if laws_are_gone or not all(records.has(_name(number, part)) for part in PARTS):
                _run_batch(model, batch, settings, records, number, keep_laws or laws_are_gone)
            progress(number + 1, len(batches), f"profile: sampling {len(prompts)} prompts")
    return read_profile(folder)


def read_profile(folder: Path) -> Profile:
    """The profile that `run_profile` left in a folder. Raises StorageError if it is not finished."""
    with reading(folder, KIND) as plan:
        settings = ProfileSettings(
            **{**plan["settings"], "sampling": SamplingSettings(**plan["settings"]["sampling"])}
        )
        names = [_name(number, "") for number in range(plan["batches"])]
        texts = [text for name in names for text in _read_texts(folder, name)]
        if "engine" in plan:
            return Profile(settings, tuple(texts), _sampled_step_laws(texts))
        histograms = read_histograms(folder, [f"{name}step-law" for name in names])
        return Profile(settings, tuple(texts), {name: law.step_law() for name, law in histograms.items()})


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


def _plan(model: CausalLM, prompts: tuple[Prompt, ...], settings: ProfileSettings) -> dict[str, object]:
    return run_plan(
        KIND,
        model,
        dtype=str(model.model.dtype),
        threads=torch.get_num_threads(),
        settings=asdict(settings),
        prompts=[asdict(prompt) for prompt in prompts],
        batches=len(_batches(model, prompts, settings)),
    )


def _batches(model: CausalLM, prompts: tuple[Prompt, ...], settings: ProfileSettings) -> list[list[_Item]]:
    """Batches of one family each, prompts of like length together, so that little is padded."""
    items = [
        _Item(
            prompt.prompt_id,
            prompt.family,
            sample,
            tuple(chat_token_ids(model, [{"role": "user", "content": prompt.turns[0]}])),
            # One seed per text, whatever batch it lands in.
            derived_seed(settings.seed, index, sample),
        )
        for index, prompt in enumerate(prompts)
        for sample in range(settings.samples)
    ]
    batches: list[list[_Item]] = []
    for family in dict.fromkeys(item.family for item in items):
        members = sorted((item for item in items if item.family == family), key=lambda i: len(i.token_ids))
        size = settings.batch_size
        batches += [members[start : start + size] for start in range(0, len(members), size)]
    return batches


def _name(number: int, part: str) -> str:
    return f"batch-{number:04d}-{part}"


def _run_batch(
    model: CausalLM,
    batch: list[_Item],
    settings: ProfileSettings,
    records: RecordFolder,
    number: int,
    keep_laws: bool,
) -> None:
    columns: list[list[tuple[float, float, float]]] = [[] for _ in batch]
    end_of_text = tuple(sorted(model.end_of_text))
    histogram = StepHistogram(batch[0].family, model.vocabulary_size, end_of_text)
    recorded = RecordedLaws(len(batch), end_of_text) if keep_laws else None

    def observe(rows: IntArray, laws: FloatArray, tokens: IntArray) -> None:
        entropies, second_moments = histogram.add(laws)
        sampled = np.log(laws[np.arange(len(rows)), tokens])
        for place, row in enumerate(rows.tolist()):
            columns[row].append((sampled[place], entropies[place], second_moments[place]))
        if recorded is not None:
            recorded.add(rows, laws)

    texts = sample_continuations(
        model,
        [list(item.token_ids) for item in batch],
        settings.max_tokens,
        settings.sampling,
        [item.seed for item in batch],
        observe,
    )
    records.write(_name(number, "step-law"), histogram.table())
    records.write(_name(number, "texts"), _texts_table(batch, texts))
    if recorded is not None:
        records.write(_name(number, "laws"), recorded.table())
    # Last, because its presence says that the batch is finished.
    records.write(_name(number, "tokens"), _tokens_table(batch, texts, columns))


def _texts_table(batch: list[_Item], texts: list[SampledContinuation]) -> pa.Table:
    return pa.table(
        {
            "prompt_id": [item.prompt_id for item in batch],
            "family": [item.family for item in batch],
            "sample": pa.array([item.sample for item in batch], pa.int32()),
            "prompt_token_ids": pa.array([item.token_ids for item in batch], pa.list_(pa.int32())),
            "tokens": pa.array([len(text.token_ids) for text in texts], pa.int32()),
            "ended": [text.ended for text in texts],
        }
    )


def _tokens_table(
    batch: list[_Item], texts: list[SampledContinuation], columns: list[list[tuple[float, float, float]]]
) -> pa.Table:
    lengths = [len(text.token_ids) for text in texts]
    numbers = np.array([row for column in columns for row in column]).reshape(-1, 3)
    return pa.table(
        {
            "prompt_id": np.repeat([item.prompt_id for item in batch], lengths),
            "sample": pa.array(np.repeat([item.sample for item in batch], lengths), pa.int32()),
            "position": pa.array(np.concatenate([np.arange(length) for length in lengths]), pa.int32()),
            "token_id": pa.array([token for text in texts for token in text.token_ids], pa.int32()),
            "log_prob_nats": numbers[:, 0],
            "entropy_nats": numbers[:, 1],
            "second_log_moment_nats2": numbers[:, 2],
        }
    )


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
            )
        )
    return texts


def _known(column: list[float | None]) -> FloatArray | None:
    """A column as an array, or None where an endpoint could not give it."""
    return None if None in column else np.array(column)
