"""Faults planted in the shipped head: does the doctor find each of them, and none in the good head?"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from speclight.drafting.eagle3.answered_prompts import AnsweredPrompts
from speclight.drafting.eagle3.doctor import diagnose_on
from speclight.drafting.eagle3.loading import Eagle3Head, load_head
from speclight.drafting.eagle3.shipped import head_for, shipped_head_folder
from speclight.drafting.eagle3.target_matrices import embedding_matrix
from speclight.errors import CorruptWeights
from speclight.models.causal_lm import CausalLM
from speclight.progress import Progress, silent

OTHER_TEMPLATE = "### Instruction:\n{{ messages[0]['content'] }}\n\n### Response:\n"

Config = dict[str, Any]
Tensors = dict[str, torch.Tensor]
Fault = Callable[[Config, Tensors, CausalLM], None]


@dataclass(frozen=True, slots=True)
class FaultVerdict:
    """What the doctor says of the head with one fault.

    acceptance: of one draft as read, None where the head cannot be read. better: the reading it prefers, with
    its acceptance, its gain in nats and its p-value, or None.
    """

    fault: str
    verdict: str
    acceptance: float | None = None
    better: str | None = None
    better_acceptance: float | None = None
    gain: float | None = None
    p_value: float | None = None


def examine_faults(
    target: CausalLM, turns: Sequence[str], max_tokens: int, seed: int, progress: Progress = silent
) -> tuple[FaultVerdict, ...]:
    """Every fault in turn; the target answers once for all, and once more under another chat template.

    turns: user turns that the target answers, with at most max_tokens tokens each.
    """
    right = head_for(target, None).network.conventions.layers
    layers = sorted({layer + shift for layer in right for shift in (-1, 0, 1, 2)})
    template = target.tokenizer.chat_template
    answered = AnsweredPrompts(target, list(turns), max_tokens, seed, layers)
    verdicts: list[FaultVerdict] = []
    for number, (name, fault) in enumerate(FAULTS.items()):
        target.tokenizer.chat_template = OTHER_TEMPLATE if fault is wrong_template else template
        verdicts.append(_verdict(name, fault, answered))
        progress(number + 1, len(FAULTS), name)
    target.tokenizer.chat_template = template
    return tuple(verdicts)


def with_fault(fault: Fault, target: CausalLM) -> Eagle3Head:
    """The shipped head with one fault, read from files as a user's would be. Raises CorruptWeights."""
    good = shipped_head_folder()
    config = json.loads((good / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(good / "model.safetensors")
    fault(config, tensors, target)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        save_file(tensors, folder / "model.safetensors")
        return load_head(folder, target)


def _verdict(name: str, fault: Fault, answered: AnsweredPrompts) -> FaultVerdict:
    try:
        head = with_fault(fault, answered.target)
    except CorruptWeights as error:
        return FaultVerdict(name, f"cannot be read: {error}")
    diagnosis = diagnose_on(head, answered)
    best = next((finding for finding in diagnosis.findings if finding.is_better), None)
    if best is None:
        return FaultVerdict(name, diagnosis.verdict, diagnosis.acceptance)
    found = (best.name, best.acceptance, best.gain, best.p_value)
    return FaultVerdict(name, diagnosis.verdict, diagnosis.acceptance, *found)


def none(config: Config, tensors: Tensors, target: CausalLM) -> None:
    """The head as it is."""


def layers_off_by_one(config: Config, tensors: Tensors, target: CausalLM) -> None:
    """States of the layers one higher."""
    outputs = config.pop("eagle_config")["eagle_aux_hidden_state_layer_ids"]
    config["eagle_aux_hidden_state_layer_ids"] = [layer + 2 for layer in outputs]


def ids_in_place_of_offsets(config: Config, tensors: Tensors, target: CausalLM) -> None:
    """A map of the draft vocabulary that holds target ids."""
    tensors["d2t"] = tensors["d2t"] + torch.arange(len(tensors["d2t"]))


def swapped_norms(config: Config, tensors: Tensors, target: CausalLM) -> None:
    """The two input norms exchanged."""
    one, other = "midlayer.input_layernorm.weight", "midlayer.hidden_norm.weight"
    tensors[one], tensors[other] = tensors[other], tensors[one]


def wrong_embedding(config: Config, tensors: Tensors, target: CausalLM) -> None:
    """The embedding of another table: the target's, its rows shuffled."""
    generator = torch.Generator().manual_seed(0)
    table = embedding_matrix(target)
    tensors["embed_tokens.weight"] = table[torch.randperm(len(table), generator=generator)].half()


def reversed_blocks(config: Config, tensors: Tensors, target: CausalLM) -> None:
    """The blocks of `fc` in reverse order."""
    first, second, third = tensors["fc.weight"].chunk(3, dim=1)
    tensors["fc.weight"] = torch.cat([third, second, first], dim=1).contiguous()


def wrong_template(config: Config, tensors: Tensors, target: CausalLM) -> None:
    """The head is right; the target is served with another template, which `examine_faults` sets."""


FAULTS: dict[str, Fault] = {
    "none": none,
    "layers-off-by-one": layers_off_by_one,
    "ids-in-place-of-offsets": ids_in_place_of_offsets,
    "swapped-norms": swapped_norms,
    "wrong-embedding": wrong_embedding,
    "reversed-blocks": reversed_blocks,
    "wrong-template": wrong_template,
}
