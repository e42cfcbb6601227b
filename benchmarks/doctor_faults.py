"""Plant six faults in the shipped head: does the doctor find each of them, and none in the good head?

    python benchmarks/doctor_faults.py [--prompts 64] [--max-tokens 24]

One line per head, then one JSON document.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from speclight.drafting.eagle3.doctor import diagnose
from speclight.drafting.eagle3.loading import load_head
from speclight.drafting.eagle3.shipped import shipped_head_folder
from speclight.drafting.eagle3.target_matrices import embedding_matrix
from speclight.errors import CorruptWeights
from speclight.measure.prompts import FAMILIES, shipped_prompts
from speclight.models.causal_lm import CausalLM
from speclight.models.weights import load_weights

OTHER_TEMPLATE = "### Instruction:\n{{ messages[0]['content'] }}\n\n### Response:\n"


def none(config, tensors, target):
    """The head as it is."""


def layers_off_by_one(config, tensors, target):
    ids = config["eagle_config"]["eagle_aux_hidden_state_layer_ids"]
    config["eagle_config"]["eagle_aux_hidden_state_layer_ids"] = [layer + 1 for layer in ids]


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


def main():
    parser = argparse.ArgumentParser(description="Plant faults in the shipped head and run the doctor.")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=24)
    arguments = parser.parse_args()
    target = CausalLM(load_weights())
    template = target.tokenizer.chat_template
    rows = zip(*(shipped_prompts([family]) for family in FAMILIES), strict=True)
    turns = [p.turns[0] for row in rows for p in row if p.family != "summarisation"][: arguments.prompts]
    good = shipped_head_folder()
    verdicts = {}
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as place:
            config = json.loads((good / "config.json").read_text())
            tensors = load_file(good / "model.safetensors")
            fault(config, tensors, target)
            folder = Path(place)
            (folder / "config.json").write_text(json.dumps(config))
            save_file(tensors, folder / "model.safetensors")
            target.tokenizer.chat_template = OTHER_TEMPLATE if fault is wrong_template else template
            try:
                head = load_head(folder, target)
                verdict = diagnose(head, target, turns, arguments.max_tokens).verdict
            except CorruptWeights as error:
                verdict = f"cannot be read: {error}"
        verdicts[fault.__name__] = verdict
        print(f"{fault.__name__:24s} {verdict}", flush=True)
    print(json.dumps(verdicts))


if __name__ == "__main__":
    main()
