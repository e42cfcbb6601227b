"""The public entry to models: a name in, a target (or drafter) model out."""

from __future__ import annotations

from pathlib import Path

from speclight.models.causal_lm import CausalLM
from speclight.models.kernels import Kernels
from speclight.models.offload import Offload
from speclight.models.probe import check_tree_scores
from speclight.models.weights import load_weights


def load(
    name_or_path: str | Path | None = None,
    *,
    device: str = "cpu",
    dtype: str = "float32",
    trust_remote_code: bool = False,
    kernels: Kernels = "auto",
    offload: Offload | None = None,
) -> CausalLM:
    """Load a causal language model. Without a name: SmolLM2-135M-Instruct, dequantised from Q4_1.

    name_or_path: "default", a folder, a .gguf file, or a Hugging Face hub id. kernels: "auto", "compiled",
    "fast" or "eager", how its passes are computed: see `speclight.models.kernels.use_kernels`. offload:
    "disk" or "cpu" streams its layers in at every call (`speclight.models.offload`). See
    `speclight.models.weights.load_weights` for the other arguments and the errors raised.
    """
    loaded = load_weights(
        name_or_path, device=device, dtype=dtype, trust_remote_code=trust_remote_code, offload=offload
    )
    model = CausalLM(loaded, kernels)
    if loaded.source in ("folder", "hub"):  # what is converted here is always a plain Llama
        check_tree_scores(model)
    return model
