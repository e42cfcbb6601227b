"""Other runtimes that could compute the target's call, behind one function: logits of tokens after a text.

All of them run one step, written with plain tensors: new tokens, their rotary factors, a mask and the keys
and values of the text in, logits and new keys and values out. What is not installed is named as missing.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu

from speclight.models.causal_lm import CausalLM

Inputs = tuple[torch.Tensor, ...]
Runtime = Callable[[Inputs], torch.Tensor]
"""[new, vocab] logits of the inputs of `Step`."""


class Step(nn.Module):
    """A Llama's pass over new tokens after a text. Weights are the model's own."""

    def __init__(self, target: CausalLM) -> None:
        super().__init__()
        model: Any = target.model
        self.base, self.output = model.model, model.lm_head.weight
        config = model.config
        self.groups = config.num_attention_heads // config.num_key_value_heads
        self.size, self.epsilon = config.head_dim, config.rms_norm_eps

    def forward(
        self,
        tokens: torch.Tensor,
        cosines: torch.Tensor,
        sines: torch.Tensor,
        mask: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """[new, vocab] logits and [layers, 2, groups, new, head size] new keys and values.

        tokens: [new]. cosines, sines: [new, head size]. mask: [new, slots + new], added. keys, values:
        [layers, groups, slots, head size].
        """
        state = self.base.embed_tokens(tokens)
        made: list[torch.Tensor] = []
        for number, layer in enumerate(self.base.layers):
            attention, mlp = layer.self_attn, layer.mlp
            read = self._normed(state, layer.input_layernorm)
            queries, new_keys, new_values = (
                linear(read, part.weight).unflatten(1, (-1, self.size)).transpose(0, 1)
                for part in (attention.q_proj, attention.k_proj, attention.v_proj)
            )
            queries, new_keys = (_rotated(part, cosines, sines) for part in (queries, new_keys))
            made.append(torch.stack((new_keys, new_values)))
            seen = (
                torch.cat((old[number], new), 1).repeat_interleave(self.groups, 0)[None]
                for old, new in ((keys, new_keys), (values, new_values))
            )
            attended = scaled_dot_product_attention(queries[None], *seen, attn_mask=mask[None, None])
            state = state + linear(attended[0].transpose(0, 1).flatten(1), attention.o_proj.weight)
            read = self._normed(state, layer.post_attention_layernorm)
            joined = silu(linear(read, mlp.gate_proj.weight)) * linear(read, mlp.up_proj.weight)
            state = state + linear(joined, mlp.down_proj.weight)
        return linear(self._normed(state, self.base.norm), self.output), torch.stack(made)

    def _normed(self, state: torch.Tensor, norm: Any) -> torch.Tensor:
        return rms_norm(state, (state.shape[-1],), norm.weight, self.epsilon)


def _rotated(heads: torch.Tensor, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    first, second = heads.chunk(2, -1)
    return heads * cosines + torch.cat((-second, first), -1) * sines


def inputs_after(target: CausalLM, context: list[int], tokens: torch.Tensor) -> Inputs:
    """What `Step` reads for tokens [new] that follow a text."""
    cache = target.new_cache()
    target.prefill(cache, context)
    slots, new = len(context), len(tokens)
    base: Any = target.model.model
    cosines, sines = base.rotary_emb(torch.zeros(1), torch.arange(slots, slots + new)[None])
    mask = torch.zeros(new, slots + new).masked_fill_(
        ~torch.ones(new, slots + new, dtype=torch.bool).tril(slots), torch.finfo(torch.float32).min
    )
    layers = cache.filled_slots()
    keys = torch.stack([keys[0] for keys, _ in layers])
    values = torch.stack([values[0] for _, values in layers])
    return tokens, cosines[0], sines[0], mask, keys, values


def exported(target: CausalLM, example: Inputs) -> torch.export.ExportedProgram:
    """The step as a graph for any number of new tokens and slots. example: of several of both."""
    new = torch.export.Dim.AUTO
    shapes = ({0: new}, {0: new}, {0: new}, {0: new, 1: new}, {2: new}, {2: new})
    with torch.no_grad():
        return torch.export.export(Step(target).eval(), example, dynamic_shapes=shapes)


def plain(target: CausalLM, example: Inputs) -> Runtime:
    """The step as torch computes it."""
    step = Step(target).eval()
    return lambda given: step(*given)[0]


def compiled(target: CausalLM, example: Inputs) -> Runtime:
    """The step by `torch.compile` with frozen weights: minutes of compiling for each number of tokens."""
    from torch._inductor import config

    config.freezing = True
    step: Any = torch.compile(Step(target).eval())
    return lambda given: step(*given)[0]


class _Packed(nn.Module):
    """A linear layer's weight in the layout that oneDNN likes for some rows; bare, as `linear` reads it."""

    def __init__(self, weight: torch.Tensor, rows: int) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(rows, self.packed, None, "none", [], "")


def packed(target: CausalLM, example: Inputs) -> Runtime:
    """Transformers' pass with linear layers packed once for oneDNN, for as many rows as the example has."""
    for module in list(target.model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, _Packed(child.weight, len(example[0])))
    from transformers import DynamicCache

    def run(given: Inputs) -> torch.Tensor:
        tokens, _, _, mask, keys, values = given
        slots = keys.shape[2]
        cache = DynamicCache()
        for layer in range(len(keys)):
            cache.update(keys[layer][None], values[layer][None], layer)
        positions = torch.arange(slots, slots + len(tokens))[None]
        made = target.model(
            tokens[None], attention_mask=mask[None, None], position_ids=positions, past_key_values=cache
        )
        return made.logits[0]

    return run


def onnx_runtime(target: CausalLM, example: Inputs) -> Runtime:
    """ONNX Runtime on the exported step."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "step.onnx"
        program = torch.onnx.export(exported(target, example), dynamo=True, external_data=True)
        assert program is not None
        program.save(file, external_data=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    logits = session.get_outputs()[0].name

    def run(given: Inputs) -> torch.Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(names, given, strict=True)}
        return torch.from_numpy(session.run([logits], feed)[0])

    return run


def open_vino(target: CausalLM, example: Inputs) -> Runtime:
    """OpenVINO on the exported step, in float32."""
    import openvino  # pyright: ignore[reportMissingImports]

    model = openvino.convert_model(exported(target, example))
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    ready = openvino.compile_model(model, "CPU", settings)
    request = ready.create_infer_request()

    def run(given: Inputs) -> torch.Tensor:
        request.infer([tensor.numpy() for tensor in given])
        return torch.from_numpy(request.get_output_tensor(0).data.copy())

    return run


OTHERS: dict[str, tuple[Callable[[CausalLM, Inputs], Runtime], tuple[str, ...]]] = {
    "plain step": (plain, ()),
    "oneDNN packed": (packed, ()),
    "torch.compile": (compiled, ()),
    "ONNX Runtime": (onnx_runtime, ("onnx", "onnxscript", "onnxruntime")),
    "OpenVINO": (open_vino, ("openvino",)),
}


def missing(name: str) -> list[str]:
    """The packages that a runtime needs and that are not installed."""
    return [package for package in OTHERS[name][1] if importlib.util.find_spec(package) is None]
