"""Recorded decodes and drafts beside their limits, as Markdown."""

from __future__ import annotations

from speclight.experiments.limits.recorded import RecordedLimits
from speclight.report.markdown import markdown_table


def recorded_limits_markdown(found: RecordedLimits) -> str:
    """What exceeds its limit first, how many checks there were, then a row for each statement of a record.

    Of a trace, which holds hundreds of configurations, the row shows the one that comes nearest its limit.
    """
    parts = [_verdict(found)]
    if found.checks:
        parts.append(_nearest(found))
    if found.unchecked:
        cells = [[each.record, each.kind, each.reason] for each in found.unchecked]
        parts.append(f"Not checked:\n\n{markdown_table(['record', 'kind', 'why'], cells)}")
    return "\n\n".join(parts)


def _verdict(found: RecordedLimits) -> str:
    count, records = len(found.checks), len({check.record for check in found.checks})
    if not found.exceeding:
        return f"{count} checks of {records} records: nothing exceeds its limit."
    lines = [
        f"- {check.record}: {check.what}, P = {check.node_budget}: {check.reached:.3f} tokens per call, "
        f"{check.bound} at most {check.upper:.3f}"
        for check in found.exceeding
    ]
    head = f"**{len(lines)} of {count} checks exceed their limit: a bug in decode or bound.**"
    return "\n".join([head, "", *lines])


def _nearest(found: RecordedLimits) -> str:
    heads = ["record", "checks", "nearest to its limit", "P", "prompts", "tokens per call", "limit"]
    heads += ["upper confidence limit", "share"]
    cells: list[list[str]] = []
    for record, bound in dict.fromkeys((check.record, check.bound) for check in found.checks):
        own = [check for check in found.checks if (check.record, check.bound) == (record, bound)]
        nearest = max(own, key=lambda check: check.reached / check.upper)
        cells.append(
            [
                f"{record}, {bound}",
                str(len(own)),
                nearest.what,
                str(nearest.node_budget),
                str(nearest.prompts),
                f"{nearest.reached:.3f}",
                f"{nearest.limit:.3f}",
                f"{nearest.upper:.3f}",
                f"{nearest.reached / nearest.limit:.1%}",
            ]
        )
    return markdown_table(heads, cells)
