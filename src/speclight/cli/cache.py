"""`speclight cache`: the converted models in the cache folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from cyclopts import Parameter

from speclight.cli.options import JsonFlag
from speclight.cli.output import command_output

if TYPE_CHECKING:
    from rich.table import Table

    from speclight.models.cache_folder import CacheEntry


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class CacheOptions:
    """Options of `speclight cache`."""

    action: Literal["list", "clear"] = "list"
    """list: show what is there. clear: delete it all; the next run converts again."""
    json: JsonFlag = field(default=False, kw_only=True)


def cache(options: CacheOptions = CacheOptions()) -> None:
    """Show or clear the converted models, kept in $SPECLIGHT_CACHE or the user's cache folder.

    A model that was cleared is converted again when it is used next.

        speclight cache
        speclight cache clear
    """
    from speclight.models.cache_folder import cache_entries, cache_folder, clear_cache

    freed_bytes = clear_cache() if options.action == "clear" else None
    entries = cache_entries()
    with command_output(options.json) as output:
        if options.json:
            output.write_json(
                {
                    "folder": cache_folder(),
                    "entries": [_document(entry) for entry in entries],
                    "freed_bytes": freed_bytes,
                }
            )
        elif freed_bytes is not None:
            output.show(f"{cache_folder()}: {_megabytes(freed_bytes)} freed")
        elif entries:
            output.show(_table(entries), f"in {cache_folder()}")
        else:
            output.show(f"{cache_folder()}: empty")


def _document(entry: CacheEntry) -> dict[str, object]:
    return {
        "model_name": entry.model_name,
        "folder": entry.path.name,
        "size_bytes": entry.size_bytes,
        "weights_sha256": entry.weights_sha256,
        "source_sha256": entry.source_sha256,
    }


def _table(entries: tuple[CacheEntry, ...]) -> Table:
    from rich.table import Table

    table = Table("model", "size", "weights (SHA-256)", "folder")
    for entry in entries:
        table.add_row(
            entry.model_name or "interrupted conversion",
            _megabytes(entry.size_bytes),
            entry.weights_sha256 or "",
            entry.path.name,
        )
    return table


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
