"""Conversations that a chat model holds with itself: it writes the user's turn, then answers it.

Nothing but the model is needed: after the opening of a user turn in its own chat template a model trained
on conversations writes a request of the kind it was trained on, and its answers are by definition what a
drafter for it should predict. The states that a head is trained on are those of the sampling passes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.training.conversation_settings import ConversationSettings as ConversationSettings
from speclight.training.row_cache import RowCache
from speclight.training.shards import ScoredConversation

# Stands for the user's text while the template is taken apart; no template writes it itself.
PLACEHOLDER = "\u2063user turn\u2063"


@dataclass(frozen=True, slots=True)
class ChatFrame:
    """A chat template around one user turn: tokens before it, and from its end to the answer's start."""

    before: tuple[int, ...]
    between: tuple[int, ...]


def chat_frame(model: CausalLM) -> ChatFrame:
    """The frame of the model's own template. Raises InvalidInput for a model without a usable one."""
    if model.tokenizer.chat_template is None:
        raise InvalidInput(
            f"{model.name} has no chat template, expected one: it cannot be asked for requests"
        )
    text = model.tokenizer.apply_chat_template(
        [{"role": "user", "content": PLACEHOLDER}], add_generation_prompt=True, tokenize=False
    )
    assert isinstance(text, str)  # one conversation, not tokenised
    before, found, between = text.partition(PLACEHOLDER)
    if not found or not before or not between:
        raise InvalidInput(f"the chat template of {model.name} does not frame the user's turn on both sides")
    encode = model.tokenizer.encode
    frame = ChatFrame(
        tuple(encode(before, add_special_tokens=False)), tuple(encode(between, add_special_tokens=False))
    )
    if len(frame.before) < 2:  # all rows start from the cache of all but the last of these
        raise InvalidInput(f"the chat template of {model.name} opens with one token, expected at least two")
    return frame


class _Row:
    """One conversation being written: its tokens so far, and how many of them have been read."""

    def __init__(self, frame: ChatFrame, temperature: float) -> None:
        self.tokens = list(frame.before)
        self.read = len(frame.before) - 1
        self.answer_from = 0  # 0 while the request is being written
        self.temperature = temperature
        self._stood: Counter[tuple[int, ...]] = Counter()

    @property
    def sampling_temperature(self) -> float:
        return self.temperature if self.answer_from else 1.0

    def has_looped(self, length: int) -> bool:
        """Whether the last tokens, this many, stood in the answer twice before; asked after every token."""
        answered = len(self.tokens) - self.answer_from
        if answered < length:
            return False
        tail = tuple(self.tokens[-length:])
        stood = self._stood[tail]
        self._stood[tail] += 1
        return stood >= 2 and answered >= 3 * length


class ConversationSampler:
    """Samples conversations row by row: a row that is done starts the next one at once.

    layers: of the target whose entering states are kept. Two runs from one seed give the same texts on the
    same machine with the same number of threads.
    """

    def __init__(
        self, model: CausalLM, layers: tuple[int, ...], settings: ConversationSettings, seed: int
    ) -> None:
        self._model, self._settings = model, settings
        self._frame = chat_frame(model)
        self._layers = (*layers, model.output_state)
        self._generator = torch.Generator().manual_seed(seed)
        prefix = model.new_cache()
        start = self._frame.before[:-1]  # a row's next token is always one it has not read
        states = model.prefill(prefix, list(start), self._layers)
        assert states is not None  # layers were asked for
        slots = (
            len(self._frame.before)
            + len(self._frame.between)
            + settings.longest_request
            + settings.longest_answer
            + 1
        )
        self._cache = RowCache(prefix, settings.rows, slots)
        # Where the model is: a row's states come to the CPU when it is done.
        self._states = states.new_zeros((settings.rows, slots, states.shape[1]))
        self._states[:, : len(start)] = states
        self._rows = [self._new_row() for _ in range(settings.rows)]
        self._special = set(model.tokenizer.all_special_ids)
        self._seen: set[tuple[int, ...]] = set()

    def conversations(self) -> Iterator[ScoredConversation]:
        """Finished conversations, without end."""
        while True:
            logits = self._read_next_tokens()
            drawn = self._draw(logits)
            for index, row in enumerate(self._rows):
                row.read += 1
                if row.read < len(row.tokens):
                    continue  # a token of the template is next
                row.tokens.append(drawn[index])
                if row.answer_from:
                    if self._is_answered(row):
                        yield self._finished(index)
                        self._rows[index] = self._new_row()
                elif not self._goes_on(row):
                    self._rows[index] = self._new_row()

    def _new_row(self) -> _Row:
        is_greedy = torch.rand((), generator=self._generator).item() < self._settings.greedy_share
        return _Row(self._frame, 0.0 if is_greedy else 1.0)

    def _read_next_tokens(self) -> torch.Tensor:
        place = self._cache.place
        place.move_to([row.read for row in self._rows])
        tokens = torch.tensor([[row.tokens[row.read]] for row in self._rows])
        output = self._model.forward(self._cache, tokens, place.positions(), place.visible(), 1, self._layers)
        assert output.features is not None  # layers were asked for
        self._states[place.rows, place.slots] = output.features[:, 0]
        return output.logits[:, -1]

    def _draw(self, logits: torch.Tensor) -> list[int]:
        tokens = logits.argmax(dim=1)
        sampled = torch.tensor([row.sampling_temperature > 0.0 for row in self._rows]).nonzero()[:, 0]
        uniforms = torch.rand((len(sampled), 1), generator=self._generator).to(logits.device)
        sampled = sampled.to(logits.device)
        cumulated = torch.softmax(logits[sampled], dim=1).cumsum(dim=1)
        drawn = torch.searchsorted(cumulated, uniforms * cumulated[:, -1:], right=True)[:, 0]
        tokens[sampled] = drawn.clamp(max=logits.shape[1] - 1)
        return tokens.tolist()

    def _goes_on(self, row: _Row) -> bool:
        """Take in a new token of a request; False if the request is to be thrown away."""
        token, length = row.tokens[-1], len(row.tokens) - len(self._frame.before) - 1
        if token == self._frame.between[0] or token in self._model.end_of_text:
            request = tuple(row.tokens[len(self._frame.before) : -1])
            if length < self._settings.shortest_request or request in self._seen:
                return False
            self._seen.add(request)
            row.tokens[-1:] = self._frame.between
            row.answer_from = len(row.tokens)
            return True
        return token not in self._special and length < self._settings.longest_request

    def _is_answered(self, row: _Row) -> bool:
        return (
            row.tokens[-1] in self._model.end_of_text
            or len(row.tokens) - row.answer_from >= self._settings.longest_answer
            or row.has_looped(self._settings.loop_length)
        )

    def _finished(self, index: int) -> ScoredConversation:
        row = self._rows[index]
        size = self._states.shape[2] // len(self._layers)
        # A copy: the row is written over. The last token has not been read.
        states = self._states[index, : row.read].to("cpu", copy=True)
        return ScoredConversation(
            tokens=torch.tensor(row.tokens[: row.read], dtype=torch.int32),
            features=states[:, :-size],
            last_states=states[:, -size:],
            written_from=len(self._frame.before),
            answer_from=row.answer_from,
            temperature=row.temperature,
        )
