"""A decoded run summed up for its waterfall."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from speclight.advice.waterfall import PhaseTotals, RunTotals
from speclight.advice.waterfall_words import RunSetup
from speclight.arrays import FloatArray
from speclight.errors import InvalidInput
from speclight.measure.decoded_run.record import DecodedText, RecordedCall, RoundTotals
from speclight.theory.ergodic.decode import decode_bound

Total = Callable[[Callable[[DecodedText], float]], FloatArray]


def run_totals(texts: Sequence[DecodedText], node_budget: int) -> RunTotals:
    """The totals of texts of one run by prompt, all turns together. node_budget: P of the run.

    The decode bound is that of a decode that goes on behind the length limit, as trees at the last call's
    start do. Where drafts share their noise with the verdict, what the rule accepted stands for what it is
    expected to. Raises InvalidInput without texts, or for texts whose starts were not looked at.
    """
    if not texts or any(len(text.starts) != len(text.calls) for text in texts):
        raise InvalidInput(
            "a waterfall needs texts and what was possible at the start of each of their calls; finish the "
            "decoded run by repeating its command"
        )
    bound = decode_bound([text.sampled for text in texts], node_budget)
    fewest, full = bound.costs - bound.last_calls, bound.tokens_by_prompt / node_budget
    if fewest.sum() < full.sum():  # where text is certain; no call emits more than P tokens all the same
        fewest = full
    total = _by_prompt(texts)
    return RunTotals(
        prompt_ids=tuple(dict.fromkeys(text.prompt_id for text in texts)),
        bound_tokens=bound.tokens_by_prompt,
        bound_calls=fewest,
        starts=total(lambda text: len(text.calls)),
        oracle=total(lambda text: sum(_expected(start.best) for start in text.starts)),
        best=total(lambda text: sum(_expected(start.likeliest) for start in text.starts)),
        tree=total(lambda text: sum(_expected(call.target_path_log_probs) for call in text.calls)),
        rule=total(lambda text: sum(map(_by_rule, text.calls))),
        accepted=total(lambda text: sum(one.accepted for one in text.drafted)),
        emitted=total(lambda text: sum(one.emitted for one in text.drafted)),
        drafted=_phases(total, lambda text: text.drafted),
        plain=_phases(total, lambda text: text.plain),
    )


def _by_prompt(texts: Sequence[DecodedText]) -> Total:
    """Sums a number of each text by prompt, [prompts] in the order first met."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(text.prompt_id for text in texts))}
    places = [numbers[text.prompt_id] for text in texts]

    def total(of_text: Callable[[DecodedText], float]) -> FloatArray:
        sums = np.zeros(len(numbers))
        np.add.at(sums, places, [of_text(text) for text in texts])
        return sums

    return total


def _phases(total: Total, rounds: Callable[[DecodedText], Sequence[RoundTotals]]) -> PhaseTotals:
    def over(of_round: Callable[[RoundTotals], float]) -> FloatArray:
        return total(lambda text: sum(map(of_round, rounds(text))))

    return PhaseTotals(
        calls=over(lambda one: one.calls),
        target=over(lambda one: one.seconds.target),
        draft=over(lambda one: one.seconds.draft),
        loop=over(lambda one: one.seconds.verify + one.seconds.commit),
    )


def run_setup(texts: Sequence[DecodedText], node_budget: int, drafter: str, tree: str, rule: str) -> RunSetup:
    """How the texts were decoded, for the sentences of their waterfall."""
    nodes = [len(call.tokens) for text in texts for call in text.calls]
    return RunSetup(drafter, tree, rule, node_budget, float(np.mean(nodes)))


def _expected(path_log_probs: FloatArray) -> float:
    """E[X] of a tree (arXiv 2512.11718v1, Lemma 1)."""
    return float(np.exp(path_log_probs).sum())


def _by_rule(call: RecordedCall) -> float:
    return float(call.accepted) if call.tokens_by_rule is None else call.tokens_by_rule
