"""A turn of a prompt that waits for its answer: the conversation so far, and the seed of what is sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from speclight.errors import ContextOverflow
from speclight.measure.prompts import Prompt
from speclight.models.prompting import chat_token_ids, conversation
from speclight.progress import Progress, in_steps, silent
from speclight.seeds import derived_seed

if TYPE_CHECKING:
    from speclight.models.causal_lm import CausalLM

ALL_TURNS = "all turns"


@dataclass(frozen=True, slots=True)
class AskedTurn:
    """One turn of a prompt, asked for the `sample`-th time, after the answers to the turns before it.

    place: of the prompt in its run. answers: as text; one cut by the length limit stands there cut, as in
    MT-bench's own runs, so that which conversations go on does not depend on what was sampled.
    """

    prompt: Prompt
    place: int
    sample: int
    answers: tuple[str, ...] = ()

    @property
    def turn(self) -> int:
        """Which turn of the prompt, from 1."""
        return 1 + len(self.answers)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The conversation up to where the model speaks next."""
        return conversation(self.prompt.turns, self.answers)

    def decoding_seed(self, of_run: int) -> int:
        """The seed with which every drafter decodes this turn: of_run + place for a prompt's first one."""
        of_prompt = of_run + self.place
        return of_prompt if self.turn == 1 else derived_seed(of_prompt, self.turn - 1)

    def seed(self, of_run: int) -> int:
        """The seed of the text sampled here: one for every prompt, sample and turn of a run."""
        later = (self.turn - 1,) if self.turn > 1 else ()
        return derived_seed(of_run, self.place, self.sample, *later)

    def after(self, answer: str) -> AskedTurn | None:
        """The prompt's next turn, once this one is answered; None after its last."""
        is_last = self.turn == len(self.prompt.turns)
        return None if is_last else replace(self, answers=(*self.answers, answer))


def first_turns(prompts: Sequence[Prompt]) -> list[AskedTurn]:
    """The first turn of every prompt, asked once."""
    return [AskedTurn(prompt, place, sample=0) for place, prompt in enumerate(prompts)]


def turns_plan(prompts: Sequence[Prompt]) -> dict[str, str]:
    """What a plan says where prompts have several turns; nothing where all have one.

    So folders of single turns stay what they were, and one that holds first turns only is not gone on with.
    """
    return {"turns": ALL_TURNS} if any(len(prompt.turns) > 1 for prompt in prompts) else {}


def check_conversations_fit(
    model: CausalLM, prompts: Sequence[Prompt], max_tokens: int, progress: Progress = silent
) -> None:
    """Raise ContextOverflow, before anything is sampled, if answers of max_tokens can outgrow the window."""
    for prompt in in_steps(prompts, "counting the tokens of conversations", progress):
        earlier = len(prompt.turns) - 1
        if earlier == 0:
            continue  # measured whole when it is sampled
        questions = len(chat_token_ids(model, conversation(prompt.turns, ["answer"] * earlier)))
        if questions + (earlier + 1) * max_tokens > model.context_window:
            raise ContextOverflow(
                f"the {earlier + 1} turns of prompt {prompt.prompt_id!r} have {questions} tokens and their "
                f"answers up to {max_tokens} each, which do not fit {model.window_name}; lower max_tokens or "
                "leave the prompt out",
                argument="max_tokens",
            )
