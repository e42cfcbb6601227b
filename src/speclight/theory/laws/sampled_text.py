"""What is known of a sampled text: one surprisal per token, why it stopped, and its laws where they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.theory.laws.likely_tokens import LikelyTokens
from speclight.theory.laws.listed_tokens import ListedTokens


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class SampledText:
    """One text drawn from the target, reduced to what the ergodic renewal bound needs.

    surprisals: [tokens] -ln p of each sampled token under the law it was sampled from, nats, finite; values
    below 0 (float32 probabilities rounding above 1) are clamped to 0. Of a text that ended, the last entry is
    the end-of-text token's own surprisal: it counts as a context visited, but it is never a tree node.
    ended: True if the text stopped with the end-of-text token, False if it was cut at a length limit.
    prompt_id: the cluster; texts that share it are resampled together.
    features: [tokens] or None; features[i] is anything known at start i, before token i is drawn.
    length_limit: the limit under which an ended text was generated, or None if there was none (or it was far
    away). A cut text was cut at its own length. See `uniform_positions` for why it matters.
    likely: the likely part of the full law of each token, or None if only sampled tokens are known. Estimates
    then average over each last step, where every text has it.
    listed: tokens known at each position beside the sampled one, it included, where there is no `likely`.

    Raises InvalidInput if the arrays are not 1-d of equal length, or hold NaN or infinities.
    """

    surprisals: FloatArray
    ended: bool
    prompt_id: str
    features: FloatArray | None = None
    length_limit: int | None = None
    likely: LikelyTokens | None = None
    listed: ListedTokens | None = None

    def __post_init__(self) -> None:
        surprisals = np.array(self.surprisals, dtype=np.float64)
        if surprisals.ndim != 1 or not np.isfinite(surprisals).all():
            raise InvalidInput(
                f"surprisals must be a 1-d array of finite nats, got shape {surprisals.shape} with "
                f"{int((~np.isfinite(surprisals)).sum())} non-finite entries; a sampled token has p > 0, so "
                "take the log-probabilities of the law that was sampled from"
            )
        _freeze(self, "surprisals", np.maximum(surprisals, 0.0))
        if self.features is not None:
            features = np.array(self.features, dtype=np.float64)
            if features.shape != surprisals.shape or np.isnan(features).any():
                raise InvalidInput(
                    f"features need one number per token ({len(surprisals)}) and no NaN, got shape "
                    f"{features.shape}; pass None if there is no feature"
                )
            _freeze(self, "features", features)
        for beside in (self.likely, self.listed):
            if beside is not None and len(beside) != len(surprisals):
                raise InvalidInput(
                    f"a text of {len(surprisals)} tokens needs the likely tokens of as many contexts, got "
                    f"{len(beside)}; pass None if the laws are not known"
                )
        if self.length_limit is not None and self.length_limit < len(surprisals):
            raise InvalidInput(
                f"a text of {len(surprisals)} tokens cannot have been made under length_limit "
                f"{self.length_limit}; give the limit in generated tokens"
            )

    def __len__(self) -> int:
        return len(self.surprisals)


def _freeze(text: SampledText, name: str, array: FloatArray) -> None:
    array.setflags(write=False)
    object.__setattr__(text, name, array)


def recent_surprisal_mean(surprisals: FloatArray, window: int) -> FloatArray:
    """[tokens] mean of the up to `window` surprisals before each start; a feature that needs no logits.

    Entry 0 is 0: nothing has been sampled yet. Raises InvalidInput if window < 1.
    """
    if window < 1:
        raise InvalidInput(f"window must be at least 1 token, got {window}")
    totals = np.concatenate([[0.0], np.cumsum(surprisals)])
    ends = np.arange(len(surprisals))
    begins = np.maximum(ends - window, 0)
    return (totals[ends] - totals[begins]) / np.maximum(ends - begins, 1)
