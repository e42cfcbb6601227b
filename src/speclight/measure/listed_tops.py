"""The likeliest tokens that an endpoint stated along the texts of its profile, as the limits take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speclight.measure.store import is_recorded, read_table
from speclight.theory.laws.listed_tokens import ListedTokens

if TYPE_CHECKING:
    from speclight.measure.profile import ProfiledText

Top = Sequence[Sequence[tuple[int | None, float]]]
"""[tokens] (id, log-probability) of the likeliest tokens at each position of a text."""


def read_tops(folder: Path, name: str) -> list[Top] | None:
    """The likeliest tokens of the texts of a unit, in their order; None if none were recorded."""
    if not is_recorded(folder, name):
        return None
    return [
        [
            list(zip(ids, log_probs, strict=True))
            for ids, log_probs in zip(row["token_ids"], row["log_probs"], strict=True)
        ]
        for row in read_table(folder, name).to_pylist()
    ]


def with_tops(texts: Sequence[ProfiledText], tops: Sequence[Top]) -> list[ProfiledText]:
    """The texts with the tokens listed beside them, the sampled ones among them.

    What ended any of the texts is no node of a tree, so it is left out. Where none has ended, the end of text
    is not known, and the texts are given back as they are; so too where the likeliest tokens have no ids.
    """
    ends = {text.token_ids[-1] for text in texts if text.ended and len(text.token_ids) == len(text.log_probs)}
    if not ends or any(token is None for top in tops for row in top for token, _ in row):
        return list(texts)
    return [replace(text, listed=_listed(text, top, ends)) for text, top in zip(texts, tops, strict=True)]


def _listed(text: ProfiledText, top: Top, ends: set[int]) -> ListedTokens:
    surprisals: list[float] = []
    kept: list[int] = []
    for token, log_prob, row in zip(text.token_ids, text.log_probs.tolist(), top, strict=True):
        known = {other: value for other, value in row if other not in ends}
        if token not in ends:
            known[token] = log_prob
        surprisals += [max(0.0, -value) for value in known.values()]
        kept.append(len(known))
    return ListedTokens(np.array(surprisals), np.array(kept))
