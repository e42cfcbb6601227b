"""Where the shape of a target is written down."""

from __future__ import annotations

from pathlib import Path

from speclight.errors import ModelNotFound


def config_file(shape: Path) -> Path:
    """The config.json that `shape` is, or that lies in this folder. Raises ModelNotFound if there is none."""
    file = shape / "config.json" if shape.is_dir() else shape
    if not file.is_file():
        raise ModelNotFound(f"got the shape {shape}, expected a config.json or the folder that holds one")
    return file
