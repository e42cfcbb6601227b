"""Plant six faults in the shipped head: does the doctor find each of them, and none in the good head?

    python benchmarks/doctor_faults.py [--prompts 64] [--max-tokens 32] [--out FILE]

One line per head, then one JSON document. The target answers the prompts once for all heads (twice: once more
under another chat template). With --out every verdict is kept at once, and a repeated run goes on from there.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from speclight.drafting.eagle3.answered_prompts import AnsweredPrompts
from speclight.drafting.eagle3.doctor import diagnose_on
from speclight.drafting.eagle3.loading import load_head
from speclight.drafting.eagle3.shipped import head_for, shipped_head_folder
from speclight.drafting.eagle3.target_matrices import embedding_matrix
from speclight.errors import CorruptWeights
from speclight.measure.prompts import FAMILIES, shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.weights import load_weights

OTHER_TEMPLATE = "### Instruction:\n{{ messages[0]['content'] }}\n\n### Response:\n"


def none(config, tensors, target):
    """The head as it is."""


def layers_off_by_one(config, tensors, target):
    outputs = config.pop("eagle_config")["eagle_aux_hidden_state_layer_ids"]
    config["eagle_aux_hidden_state_layer_ids"] = [layer + 2 for layer in outputs]


def ids_in_place_of_offsets(config, tensors, target):
    tensors["d2t"] = tensors["d2t"] + torch.arange(len(tensors["d2t"]))


def swapped_norms(config, tensors, target):
    one, other = "midlayer.input_layernorm.weight", "midlayer.hidden_norm.weight"
    tensors[one], tensors[other] = tensors[other], tensors[one]


def wrong_embedding(config, tensors, target):
    generator = torch.Generator().manual_seed(0)
    table = embedding_matrix(target)
    tensors["embed_tokens.weight"] = table[torch.randperm(len(table), generator=generator)].half()


def transposed_blocks(config, tensors, target):
    first, second, third = tensors["fc.weight"].chunk(3, dim=1)
    tensors["fc.weight"] = torch.cat([third, second, first], dim=1).contiguous()


def wrong_template(config, tensors, target):
    """The head is right; the target is served with another template (set below)."""


FAULTS = (
    none,
    layers_off_by_one,
    ids_in_place_of_offsets,
    swapped_norms,
    wrong_embedding,
    transposed_blocks,
    wrong_template,
)


def planted(fault, target):
    """The shipped head with one fault, read from files as a user's would be. Raises CorruptWeights."""
    good = shipped_head_folder()
    config = json.loads((good / "config.json").read_text())
    tensors = load_file(good / "model.safetensors")
    fault(config, tensors, target)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "config.json").write_text(json.dumps(config))
        save_file(tensors, folder / "model.safetensors")
        return load_head(folder, target)


def record(fault, answered):
    """What the doctor says, and the reading that it prefers if there is one."""
    try:
        head = planted(fault, answered.target)
    except CorruptWeights as error:
        return {"verdict": f"cannot be read: {error}"}
    diagnosis = diagnose_on(head, answered)
    best = [asdict(finding) for finding in diagnosis.findings if finding.is_better][:1]
    return {
        "verdict": diagnosis.verdict,
        "acceptance": diagnosis.acceptance,
        "template_gain": diagnosis.template_gain,
        "best": best,
    }


def main():
    parser = argparse.ArgumentParser(description="Plant faults in the shipped head and run the doctor.")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    target = CausalLM(load_weights())
    template = target.tokenizer.chat_template
    by_family = [shipped_prompts([family]) for family in FAMILIES if family != "summarisation"]
    turns = [prompt.turns[0] for row in zip(*by_family, strict=True) for prompt in row]
    right = head_for(target, None).network.conventions.layers
    layers = {layer + shift for layer in right for shift in (-1, 0, 1, 2)}
    answered = AnsweredPrompts(target, turns[: arguments.prompts], arguments.max_tokens, 0, sorted(layers))
    out = arguments.out
    records = json.loads(out.read_text()) if out is not None and out.exists() else {}
    for fault in FAULTS:
        name = fault.__name__
        if name not in records:
            target.tokenizer.chat_template = OTHER_TEMPLATE if fault is wrong_template else template
            records[name] = record(fault, answered)
            if out is not None:
                out.write_text(json.dumps(records))
        print(f"{name:24s} {records[name]['verdict']}", flush=True)
    print(json.dumps(records))


if __name__ == "__main__":
    main()
