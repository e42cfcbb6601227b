"""Made-up loads for what-if parts. None of their numbers was measured."""

from __future__ import annotations

from math import log

from speclight.advice.recorded_loads import call_time_presets
from speclight.advice.what_if import Drafted, DraftedCalls, Load, WhatIf
from speclight.measure.estimates import Estimate

BUDGETS = (2, 4, 8, 16)
SHORT = (2, 4, 8)
SECONDS = [0.08 + 0.004 * max(0, nodes - 4) for nodes in range(1, 17)]


def made_up_load(name: str, temperature: float, better: float = 0.0, clusters: int = 6) -> Load:
    def limit(budget: int) -> float:
        return 1.0 + (0.8 + better) * log(budget)

    def way(drafter: str, growth: str, knows: float, draft: float | None, is_short: bool) -> Drafted:
        calls = []
        for budget in BUDGETS if drafter != "ngram" else SHORT:
            value = 1.0 + knows * (limit(budget) - 1.0) * 0.9
            sizes = (1, max(2, budget // 2), budget) if is_short and budget > 2 else (budget,)
            shares = {1: (1.0,), 3: (0.3, 0.3, 0.4)}[len(sizes)]
            calls.append(
                DraftedCalls(
                    node_budget=budget,
                    tokens=Estimate(value, 0.05, value - 0.1, value + 0.1, clusters),
                    best_tree=None if draft is None else 0.95 * limit(budget),
                    likeliest=None if is_short else 1.02 * value,
                    sizes=sizes,
                    shares=shares,
                    draft_seconds=None if draft is None else draft * budget,
                    loop_seconds=0.002 + 0.0001 * budget,
                )
            )
        return Drafted(drafter, growth, "target_sample", "its own call starts", tuple(calls))

    return Load(
        name=name,
        temperature=temperature,
        prompts=clusters,
        node_budgets=BUDGETS,
        limit=tuple(map(limit, BUDGETS)),
        limit_upper=tuple(1.1 * limit(budget) for budget in BUDGETS),
        drafted=(
            way("eagle3", "best_first", 0.6, 0.004, is_short=False),
            way("eagle3", "chain", 0.5, 0.005, is_short=False),
            way("ngram", "chain", 0.25, 0.0001, is_short=True),
            way("<b>untimed</b>", "batch", 0.4, None, is_short=True),
        ),
    )


def made_up_what_if() -> WhatIf:
    return WhatIf(
        loads=(
            made_up_load("all families", 1.0),
            made_up_load("code", 1.0, better=0.3, clusters=2),
            made_up_load("all families", 0.0, better=0.6),
        ),
        call_times=call_time_presets(SECONDS),
        plain_loop_seconds=0.0015,
    )
