"""Which conventions a checkpoint means, from its config, its tensors and what their writers did.

Sources: SafeAILab/EAGLE (eagle/model/cnets.py, cnets1.py), sgl-project/SpecForge (llama3_eagle.py and pull
request 879), vllm-project/speculators (models/eagle3), vllm-project/vllm (llama_eagle3.py) and
sgl-project/sglang (llama_eagle3.py; pull requests 25454 and 32334 on layer numbers).
"""

from __future__ import annotations

from dataclasses import dataclass

from speclight.drafting.eagle3.conventions import Conventions, HeadSizes, default_layers
from speclight.drafting.eagle3.dialects import (
    EAGLE_1_2,
    EAGLE_SECTION,
    SPECULATORS,
    LayerChoices,
)
from speclight.drafting.eagle3.tensor_names import HeadTensors
from speclight.drafting.head_config import HeadConfig
from speclight.errors import CorruptWeights, InvalidInput

LAYER_IDS = "eagle_aux_hidden_state_layer_ids"
MEASURE = "`speclight doctor` measures which fits"


@dataclass(frozen=True, slots=True)
class Reading:
    """The conventions read from a head's files.

    notes: a line for each choice that the file leaves open, saying what was taken.
    """

    conventions: Conventions
    notes: tuple[str, ...]


def read_conventions(
    dialect: str,
    config: HeadConfig,
    tensors: HeadTensors,
    sizes: HeadSizes,
    choices: LayerChoices,
    target_layers: int,
) -> Reading:
    """Raises CorruptWeights for malformed keys and keys that contradict each other."""
    eagle = config.section(EAGLE_SECTION) or HeadConfig({})
    has_head_norms = "midlayer.self_attn.q_norm.weight" in tensors
    shared = {
        "has_head_norms": has_head_norms,
        "has_query_biases": choices.has_query_biases,
        "has_output_bias": choices.has_output_bias,
        "has_fusion_bias": "fc.bias" in tensors,
        "windows": choices.windows,
    }
    if dialect == EAGLE_1_2:
        # They read the state that the target's output matrix reads, and use that matrix themselves.
        joined = Conventions((target_layers + 1,), norm_before_output=False, joins_embedding=True, **shared)
        return Reading(joined, ())
    layers, layer_notes = _layers(dialect, config, eagle, target_layers)
    before_output, fed_back, norm_notes = _last_norm(dialect, config, tensors)
    conventions = Conventions(
        layers,
        residual_after_norm=_flag("norm_before_residual", config, eagle),
        norm_before_output=before_output,
        normed_recurrence=fed_back,
        has_input_norm=_flag("norm_before_fc", config, eagle),
        has_layer_norms=_flag("fc_norm", config, eagle),
        has_fusion="fc.weight" in tensors or len(layers) > 1 or sizes.hidden != sizes.target_hidden,
        **shared,
    )
    return Reading(conventions, (*layer_notes, *norm_notes))


def _flag(key: str, config: HeadConfig, eagle: HeadConfig) -> bool:
    """Of the config or its section on EAGLE. Raises CorruptWeights if the two differ."""
    stated = {where.flag(key) for where in (config, eagle) if key in where}
    if len(stated) > 1:
        raise CorruptWeights(f"config.json states {key} twice and differently, expected one value; repair it")
    return stated.pop() if stated else False


def _last_norm(dialect: str, config: HeadConfig, tensors: HeadTensors) -> tuple[bool, bool, tuple[str, ...]]:
    """Whether the last norm stands before the output matrix, whether its result is fed back, and notes."""
    fed_back = config.flag("norm_output")
    if dialect == SPECULATORS or "norm_output" not in config:
        return True, fed_back, ()
    if fed_back:
        return (
            True,
            True,
            (
                "norm_output = true read as: the normed state is fed back (SGLang, vLLM and SpecForge since "
                f"September 2026; before, SpecForge fed back the state before the norm); {MEASURE}",
            ),
        )
    weight = tensors.tensors.get("norm.weight")
    if weight is not None and bool((weight == 1).all()):
        return (
            False,
            False,
            (
                "norm_output = false and a last norm that was never trained, read as: no norm before the "
                f"output matrix (SpecForge before September 2026); {MEASURE}",
            ),
        )
    return True, False, ()


def _layers(
    dialect: str, config: HeadConfig, eagle: HeadConfig, target_layers: int
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Numbers of the target's states that are fused, and notes."""
    entering, counted = config.numbers(LAYER_IDS), eagle.numbers(LAYER_IDS)
    reads_many = eagle.flag("use_aux_hidden_state", default=True)
    if "use_aux_hidden_state" in config:
        reads_many = config.flag("use_aux_hidden_state")
    if not reads_many:
        layers, notes = (target_layers + 1,), ()
    elif entering is not None:
        if counted is not None and entering not in (counted, _shifted(counted)):
            raise CorruptWeights(
                f"config.json has {LAYER_IDS} = {list(entering)} and, in {EAGLE_SECTION}, {list(counted)}, "
                "expected the same layers; remove the wrong list"
            )
        layers, notes = entering, ()
    elif counted is not None:
        layers, notes = _numbered(counted, target_layers)
    else:
        layers, notes = default_layers(target_layers), ()
    for key in ("num_aux_hidden_states", "num_eagle_features"):
        if config.size(key, len(layers)) != len(layers):
            raise InvalidInput(
                f"config.json says {key} = {config.get(key)}, it would read {len(layers)} states of the "
                f"target; state their {LAYER_IDS}"
            )
    return layers, notes


def _numbered(ids: tuple[int, ...], target_layers: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """States meant by the ids of eagle_config, which count layers in either of two ways.

    SpecForge and ModelOpt name layers whose output is taken, one less than the state's number; other writers
    give the states' numbers. SGLang takes a first id of 1 for the former (state 1 is used by nobody).
    """
    outputs = _shifted(ids)
    standard = default_layers(target_layers)
    if target_layers in ids or ids == standard:
        return ids, ()
    if outputs == standard:
        return outputs, ()
    layers, words = (outputs, "outputs of layers") if min(ids) < 2 else (ids, "states entering layers")
    return layers, (
        f"{LAYER_IDS} = {list(ids)} of {EAGLE_SECTION} read as {words}; files do not say which is meant, "
        f"{MEASURE}; {LAYER_IDS} outside {EAGLE_SECTION} gives the states' numbers",
    )


def _shifted(ids: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(layer + 1 for layer in ids)
