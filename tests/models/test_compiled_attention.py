"""Attention by compiled loops is torch's own."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import LlamaConfig, LlamaForCausalLM

from speclight.models import compiled_attention as compiled
from speclight.models.compiled_attention import MOST_NEW, NAME, SLOTS, compiled_attention
from speclight.models.scored_text import ScoredText
from speclight.models.wrap import wrap
from speclight.trees.draft_tree import DraftTree
from toys import word_tokenizer

# Float32: scores of up to 10 are rounded by 1e-6 (half a last bit, twice), weights by as much of themselves;
# values are up to 4.
ATOL = 4e-6
LOWEST = torch.finfo(torch.float32).min
LOGITS_ATOL = 1e-5  # of logits of size about 1


def drawn(heads, groups, new, slots, size, seed=0):
    """As a decoder layer gives them: queries of heads side by side, keys and values with room behind them."""
    generator = torch.Generator().manual_seed(seed)
    query = torch.randn(1, new, heads + groups, size, generator=generator)[:, :, :heads].transpose(1, 2)
    key, value = (
        torch.randn(1, groups, slots + 7, size, generator=generator)[:, :, :slots] for _ in range(2)
    )
    visible = torch.rand(1, 1, new, slots, generator=generator) < 0.5
    visible[..., : slots // 2] = True  # the text, which all see
    visible[..., -1] = True
    return query, key, value, masked(visible)


def masked(visible, without=LOWEST):
    return torch.zeros(visible.shape).masked_fill(~visible, without)


def expected(query, key, value, mask, scale):
    """Computed in float64."""
    query, key, value, mask = (tensor.double() for tensor in (query, key, value, mask))
    made = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale, enable_gqa=True)
    return made.transpose(1, 2).float()


def attended(query, key, value, mask, scale=None):
    module = torch.nn.Module()
    module.num_key_value_groups = query.shape[1] // key.shape[1]
    return compiled_attention(module, query, key, value, mask, scaling=scale)[0]


@pytest.fixture
def loops_alone(monkeypatch):
    """While it lasts nothing else computes an attention."""

    def otherwise(*given, **named):
        raise AssertionError("not by the loops")

    monkeypatch.setattr(compiled, "grouped_attention", otherwise)


@pytest.mark.parametrize(
    ("heads", "groups", "new", "slots", "size"),
    [
        (1, 1, 1, SLOTS, 16),
        (9, 3, 1, 40, 64),
        (9, 3, 8, 41, 64),
        (4, 4, 5, 300, 32),
        (8, 1, MOST_NEW, 47, 16),
    ],
)
@pytest.mark.parametrize("scale", [None, 0.3])
def test_equal_to_torchs_own(heads, groups, new, slots, size, scale, loops_alone):
    given = drawn(heads, groups, new, slots, size)
    made = attended(*given, scale)
    assert made.shape == (1, new, heads, size)
    torch.testing.assert_close(made, expected(*given, scale), rtol=0, atol=ATOL)


def test_what_is_not_seen_counts_nothing_however_it_is_hidden(loops_alone):
    query, key, value, mask = drawn(6, 2, 4, 50, 32)
    hidden = mask < 0.0
    for without in (LOWEST, -torch.inf, -1e4):
        made = attended(query, key, value, masked(~hidden, without))
        torch.testing.assert_close(made, expected(query, key, value, mask, None), rtol=0, atol=ATOL)
    added = torch.randn(mask.shape, generator=torch.Generator().manual_seed(1))  # a mask may be any numbers
    made = attended(query, key, value, added)
    torch.testing.assert_close(made, expected(query, key, value, added, None), rtol=0, atol=ATOL)


def test_large_scores_and_a_nan(loops_alone):
    query, key, value, mask = drawn(3, 1, 2, 30, 16)
    made = attended(100.0 * query, key, value, mask)
    torch.testing.assert_close(made, expected(100.0 * query, key, value, mask, None), rtol=0, atol=1e-5)
    query[0, 1, 0, 3] = torch.nan
    broken = attended(query, key, value, mask).isnan().any(-1)[0]
    assert broken.tolist() == [[False, True, False], [False, False, False]]


def test_a_row_depends_neither_on_threads_nor_on_other_rows(loops_alone):
    query, key, value, mask = drawn(9, 3, 7, 100, 64)
    before = torch.get_num_threads()
    try:
        made = []
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            made.append(attended(query, key, value, mask))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(made[0], other) for other in made[1:])
    for token in range(7):
        alone = attended(
            query[:, :, token : token + 1], key, value, mask[:, :, token : token + 1].contiguous()
        )
        assert torch.equal(alone[0, 0], made[0][0, token])


def test_several_texts_are_attended_to_one_by_one(loops_alone):
    """Each sees its own slots alone, given side by side with the others'."""
    texts = [drawn(6, 2, new, slots, 32, seed=new) for new, slots in ((3, 20), (1, 33), (5, 12))]
    joined = [torch.cat([text[part] for text in texts], dim=2) for part in range(3)]
    new, slots = ([0, 3, 4, 9], [0, 20, 53, 65])
    mask = torch.full((1, 1, 9, 65), LOWEST)
    for place, text in enumerate(texts):
        mask[:, :, new[place] : new[place + 1], slots[place] : slots[place + 1]] = text[3]
    made, _ = compiled_attention(
        torch.nn.Module(),
        *joined,
        mask,
        cu_seq_lens_q=torch.tensor(new, dtype=torch.int32),
        cu_seq_lens_k=torch.tensor(slots, dtype=torch.int32),
    )
    torch.testing.assert_close(
        made, torch.cat([expected(*text, None) for text in texts], dim=1), rtol=0, atol=ATOL
    )


def test_what_the_loops_cannot_read_is_torchs():
    query, key, value, mask = drawn(4, 2, 3, 20, 16)
    few = [tensor[..., :12] for tensor in (query, key, value)]  # neither of whole parts nor close together
    torch.testing.assert_close(attended(*few, mask), expected(*few, mask, None), rtol=0, atol=ATOL)
    doubled = [tensor.double() for tensor in (query, key, value, mask)]
    torch.testing.assert_close(attended(*doubled).float(), expected(*doubled, None), rtol=0, atol=ATOL)
    short = (query, key[:, :, : SLOTS - 1], value[:, :, : SLOTS - 1], mask[..., : SLOTS - 1])
    torch.testing.assert_close(attended(*short), expected(*short, None), rtol=0, atol=ATOL)
    long = drawn(4, 2, MOST_NEW + 1, 60, 16)
    torch.testing.assert_close(attended(*long), expected(*long, None), rtol=0, atol=ATOL)
    query.requires_grad_()
    attended(query, key, value, mask).sum().backward()
    assert query.grad is not None
    assert query.grad.abs().sum() > 0.0


def test_compiled_kernels_attend_so():
    torch.manual_seed(0)
    sizes = {"vocab_size": 9, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64}
    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    model = LlamaForCausalLM(LlamaConfig(**sizes, **heads, **ends)).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    targets = [
        wrap(copy.deepcopy(model), word_tokenizer(9), kernels=kernels) for kernels in ("eager", "compiled")
    ]
    assert targets[1].model.config._attn_implementation == NAME
    tree = DraftTree(np.array([2, 1, 3, 4]), np.array([-1, 0, 0, 1]), np.zeros(4))
    logits = [ScoredText(target, [1, 2, 3, 0, 1, 2, 3, 0, 1, 2]).score(tree) for target in targets]
    torch.testing.assert_close(logits[1], logits[0], rtol=0, atol=LOGITS_ATOL)


ELSEWHERE = """
import sys
import torch
from test_compiled_attention import attended, drawn
torch.save(attended(*drawn(9, 3, 3, 41, 64)), sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("features", ["+avx2,+fma", "+sse2"])
def test_other_processors_give_the_same(features, tmp_path):
    here = Path(__file__).parent
    settings = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": features,
        "SPECLIGHT_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(map(str, (here, here.parent))),
    }
    command = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "made")]
    subprocess.run(command, env=os.environ | settings, check=True)
    torch.testing.assert_close(
        torch.load(tmp_path / "made"), attended(*drawn(9, 3, 3, 41, 64)), rtol=0, atol=ATOL
    )
