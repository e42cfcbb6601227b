"""What is asked of an engine and what it gives back, the same for every engine."""

from __future__ import annotations

from dataclasses import dataclass

from speclight.arrays import FloatArray
from speclight.checks import check_whole_numbers
from speclight.errors import InvalidInput

Token = int | str
"""A token as an engine names it: its id where the engine gives ids, else its text."""


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One text asked of an engine, every sampler that changes the law switched off explicitly.

    prompt: token ids, or a conversation for engines that take no ids. max_tokens: length limit, generated
    tokens. temperature: >= 0; 0 is greedy. top: how many likeliest tokens to return with each token, >= 0.
    seed: of the engine's own generator, as far as it has one. unstated_allowed: whether tokens count of which
    the engine states no log-probability.
    Raises InvalidInput outside these ranges or for an empty prompt.
    """

    prompt: tuple[int, ...] | tuple[dict[str, str], ...]
    max_tokens: int
    temperature: float = 1.0
    top: int = 0
    seed: int | None = None
    unstated_allowed: bool = False

    def __post_init__(self) -> None:
        check_whole_numbers(self, "max_tokens")
        if not self.prompt:
            raise InvalidInput("an engine needs a prompt of at least one token or message, got none")
        if not self.temperature >= 0.0 or self.top < 0:
            raise InvalidInput(
                f"temperature and top must be >= 0, got {self.temperature} and {self.top}; 0 means greedy "
                "and "
                "no likeliest tokens"
            )

    @property
    def token_ids(self) -> tuple[int, ...] | None:
        """The prompt as token ids, or None where it is a conversation."""
        return tuple(item for item in self.prompt if isinstance(item, int)) or None

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation; empty where the prompt is token ids."""
        return [item for item in self.prompt if isinstance(item, dict)]


@dataclass(frozen=True, slots=True)
class LikelyToken:
    """One of the likeliest tokens at a position. log_prob: nats, under the law that the engine states."""

    token: Token
    log_prob: float


@dataclass(frozen=True, slots=True)
class SpeculationSteps:
    """Speculation of one request. accepted, drafted: [verify steps that had a draft] tokens, bonus
    excluded.
    """

    accepted: tuple[int, ...]
    drafted: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.accepted) != len(self.drafted) or any(
            not 0 <= a <= d for a, d in zip(self.accepted, self.drafted, strict=True)
        ):
            raise InvalidInput(
                f"per-step counts must pair 0 <= accepted <= drafted, got {len(self.accepted)} accepted and "
                f"{len(self.drafted)} drafted; read both lists of one request"
            )


@dataclass(frozen=True, slots=True, eq=False)  # array field: compare with np.array_equal, not ==
class EngineText:
    """One completion. Sequences have one entry per generated token, the end-of-text token included.

    tokens: ids, or texts where the engine gives no ids. log_probs: of the sampled tokens, nats; NaN where the
    engine states none. top: the likeliest tokens at each position, likeliest first; empty where none were
    asked for. ended: whether the text stopped with the end-of-text token. end_is_unstated: the engine says
    that the text ended, but gives no log-probability of the end-of-text token, so the last entry is not it.
    answer: the whole text as the engine writes it, None where it was not read. prompt_tokens: as the engine
    counted them. model, fingerprint: as the engine names what answered.
    """

    tokens: tuple[Token, ...]
    log_probs: FloatArray
    top: tuple[tuple[LikelyToken, ...], ...]
    ended: bool
    end_is_unstated: bool = False
    prompt_tokens: int | None = None
    model: str | None = None
    fingerprint: str | None = None
    steps: SpeculationSteps | None = None
    answer: str | None = None

    @property
    def token_ids(self) -> tuple[int, ...] | None:
        """The tokens as ids, or None if the engine names any of them by its text."""
        ids = tuple(token for token in self.tokens if isinstance(token, int))
        return ids if len(ids) == len(self.tokens) else None
