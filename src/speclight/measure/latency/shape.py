"""A target's shape without its weights: random numbers of the same sizes and type take as long.

The time of a dense model's pass does not depend on the values of its weights. So a config alone is enough to
time an 8B or 70B target on the machine that is to serve it; where memory is short, by a part of its layers.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedTokenizerFast
from transformers.initialization import no_init_weights

from speclight.drafting.layer_skip import early_exit
from speclight.errors import InvalidInput
from speclight.measure.latency.call_work import has_experts
from speclight.measure.latency.shape_file import config_file
from speclight.models.causal_lm import CausalLM
from speclight.models.kernels import Kernels
from speclight.models.weights import DTYPES, UNSUPPORTED, LoadedModel

# Of the free memory; caches, states and the copies that kernels make need the rest.
MEMORY_SHARE = 0.7
# Weights are copies of so many random numbers, spread as in a model just made.
RANDOM_NUMBERS, WEIGHT_SCALE = 2**20, 0.02


@dataclass(frozen=True, slots=True, eq=False)
class ShapedTarget:
    """A target known by its shape alone.

    model: the layers that are timed, with random weights. shallow: its first half, where not all layers fit;
    the time of all is then on the straight line through both. outline: all of it, without numbers.
    """

    model: CausalLM
    shallow: CausalLM | None
    outline: CausalLM


def shaped_target(
    config_path: Path,
    device: str = "cpu",
    dtype: str = "float32",
    kernels: Kernels = "auto",
    most_layers: int | None = None,
    memory: int | None = None,
) -> ShapedTarget:
    """A model of the sizes that a config.json, or the folder that holds it, states.

    most_layers: no more than these are made, at least 2. memory: bytes that may be used, `free_bytes` of the
    device if None. Raises ModelNotFound if there is no such config, InvalidInput for one that is no dense
    causal language model in unquantised numbers, and where memory does not hold two layers.
    """
    config = _dense_config(config_path)
    config.dtype = DTYPES[dtype]
    name = f"{_name(config_path)} (random weights)"
    outline = _made(config, "meta", dtype, name, "eager")
    layers = outline.layers
    fitting = _fitting_layers(config, outline, free_bytes(device) if memory is None else memory)
    made = min(layers, fitting, layers if most_layers is None else most_layers)
    if made < min(2, layers):
        raise InvalidInput(
            f"got room for {made} of the {layers} layers of {config_path}, expected at least 2 to tell how "
            "long one more takes; use a smaller type of numbers, or a device with more memory"
        )
    model = _made(_with_layers(config, made), device, dtype, name, kernels)
    shallow = None if made == layers else early_exit(model, made // 2)
    return ShapedTarget(model, shallow, outline)


def free_bytes(device: str) -> int:
    """Memory that can be used now: of an accelerator, or what the system says is available."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux: all of it is the best guess
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _dense_config(path: Path) -> PreTrainedConfig:
    try:
        config = AutoConfig.from_pretrained(str(config_file(path)), local_files_only=True)
    except (OSError, *UNSUPPORTED) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"got the shape {path}: {reason}; expected the config.json of a causal language model that this "
            "version of Transformers knows"
        ) from error
    obstacle = None
    if has_experts(config.get_text_config()):
        obstacle = "a mixture of experts, whose time depends on the experts that its tokens choose"
    elif getattr(config, "quantization_config", None) is not None:
        obstacle = "quantised weights, whose time depends on the kernels of their engine"
    if obstacle is not None:
        raise InvalidInput(
            f"got the shape of {obstacle}; expected a dense model in plain numbers: time the real one, or "
            "read an engine's benchmark"
        )
    return config


def _name(path: Path) -> str:
    if path.is_file() and path.name != "config.json":
        return path.stem
    return (path if path.is_dir() else path.parent).resolve().name


def _with_layers(config: PreTrainedConfig, layers: int) -> PreTrainedConfig:
    cut = copy.deepcopy(config)
    text = cut.get_text_config()
    text.num_hidden_layers = layers
    kinds = getattr(text, "layer_types", None)
    if kinds is not None:
        text.layer_types = kinds[:layers]
    return cut


def _fitting_layers(config: PreTrainedConfig, outline: CausalLM, memory: int) -> int:
    one = _made(_with_layers(config, 1), "meta", "float32", outline.name, "eager")
    size = config.dtype.itemsize  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    whole, single = (size * sum(w.numel() for w in m.model.parameters()) for m in (outline, one))
    layer = max(1, (whole - single) // max(1, outline.layers - 1))
    return int((MEMORY_SHARE * memory - (single - layer)) // layer)


def _made(config: PreTrainedConfig, device: str, dtype: str, name: str, kernels: Kernels) -> CausalLM:
    try:
        with torch.device(device), no_init_weights():
            model = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=DTYPES[dtype])
    except UNSUPPORTED as error:
        raise InvalidInput(
            f"got the shape of {name}, which Transformers makes no causal language model of ({error})"
        ) from error
    model.tie_weights()
    model.eval().requires_grad_(False)
    if device != "meta":  # before kernels are chosen, some of which look at the numbers
        _fill(model)
    words = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"": 0}, unk_token="")))
    return CausalLM(LoadedModel(model, words, name, "object", None, None), kernels)


def _fill(model: nn.Module) -> None:
    """Random numbers into every matrix, ones into every vector (the weights of norms)."""
    numbers: torch.Tensor | None = None
    for weight in model.parameters():
        if weight.dim() < 2:
            weight.fill_(1.0)
            continue
        if numbers is None or numbers.device != weight.device or numbers.dtype != weight.dtype:
            generator = torch.Generator(weight.device).manual_seed(0)
            numbers = torch.empty(RANDOM_NUMBERS, dtype=weight.dtype, device=weight.device)
            numbers.normal_(std=WEIGHT_SCALE, generator=generator)
        for part in weight.view(-1).split(RANDOM_NUMBERS):
            part.copy_(numbers[: len(part)])
