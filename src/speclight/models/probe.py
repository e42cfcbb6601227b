"""A trial of a model on draft trees: what a config does not show, such as a window, shows in the scores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.kv_cache import PathCache
from speclight.models.scored_text import ScoredText, score_together
from speclight.models.visibility import of_trees
from speclight.seeds import stream
from speclight.trees.attention import position_ids
from speclight.trees.draft_tree import DraftTree

# Below the root a chain, then the two branches that are looked at: their slots lie far from their positions.
CHAIN = 8
BRANCH = CHAIN + 1
PARENTS = np.array([*range(-1, CHAIN), 0, BRANCH, BRANCH + 1, BRANCH + 2, BRANCH + 1])
BRANCHES = ([0, BRANCH, BRANCH + 1, BRANCH + 2, BRANCH + 3], [0, BRANCH, BRANCH + 1, BRANCH + 4])
SECOND_CHILDREN = {BRANCH: 1, BRANCH + 4: BRANCH + 2}  # node: the sibling before it
SHORT_TEXTS = (9, 4)  # tokens
# Longer than any window met inside a model's code (GPT-Neo's has 256 positions), as far as memory allows.
LONG_TEXT, LONG_TEXT_BYTES = 2048, 128 * 2**20
# Invented values of a long text are this large: with keys of zero every slot has the same weight, so that one
# slot more or less of some hundreds moves the average by more than rounding does.
VALUE_SCALE = 16.0
# Of the logits' own size, for the middle one of the nodes looked at. Rounding moves the default target's by
# 3e-5 in float32 and 0.2 in bfloat16; a window counted in slots, not positions, a small GPT-Neo's by 0.3.
FORGIVEN = {torch.float64: 0.05, torch.float32: 0.05}
FORGIVEN_IN_16_BITS = 0.5
_passed: set[tuple[str, ...]] = set()


def check_tree_scores(model: CausalLM) -> None:
    """Score draft trees after short texts and a long one, and compare with plain passes along their branches.

    Raises InvalidInput for a model whose nodes see something else than their own past. The long text is not
    read: its keys and values are invented, so that a trial costs a few passes over few tokens. A model that
    passed is not tried again in one process, nor is another of the same class, config and type of numbers;
    nor at all one whose context window is shorter than the trial.
    It takes as long as reading some 80 tokens: 2.7 s of one CPU core for a target like the default.
    """
    config = model.model.config
    key = (
        repr(type(model.model)),
        config.to_json_string(),
        str(model.model.dtype),
        str(model.device),
        model.kernels,
    )
    if key in _passed or model.context_window < max(SHORT_TEXTS) + len(PARENTS):  # too short to be tried
        return
    with _in_evaluation(model.model), torch.inference_mode():
        rng = stream(0)
        for tokens, error in (_after_short_texts(model, rng), _after_a_long_text(model, rng)):
            if not error < FORGIVEN.get(model.model.dtype, FORGIVEN_IN_16_BITS):  # NaN is none either
                raise InvalidInput(
                    f"got a {type(model.model).__name__} that scores draft trees after {tokens} tokens "
                    f"otherwise than their branches alone (off by {error:.0%} of the logits' size); expected "
                    "layers that look where an attention mask lets them and take positions as given: a "
                    "window kept inside the model's code cannot be served"
                )
    _passed.add(key)


def _after_short_texts(model: CausalLM, rng: np.random.Generator) -> tuple[int, float]:
    """Length of the longer one of two texts, and the error of trees after both, scored in one call."""
    texts = [rng.integers(0, model.vocabulary_size, size).tolist() for size in SHORT_TEXTS]
    trees = [_tree(model, text[-1], rng) for text in texts]
    logits = score_together([ScoredText(model, text) for text in texts], trees)
    errors: list[float] = []
    for text, tree, rows, branch in zip(texts, trees, logits, BRANCHES, strict=True):
        ids = torch.tensor([[*text[:-1], *tree.tokens[branch].tolist()]], device=model.device)
        plain = model.model(input_ids=ids, use_cache=False).logits[0, -len(branch) :]
        errors += _distances(rows[branch], plain)
    return max(SHORT_TEXTS), float(np.median(errors))


def _after_a_long_text(model: CausalLM, rng: np.random.Generator) -> tuple[int, float]:
    """Length of the text, LONG_TEXT or what window and memory allow, and the error of a tree after it."""
    one_token = model.new_cache()
    model.read(one_token, [0])
    layers = one_token.path_layers
    read = [layer.filled_slots() for layer in layers if layer.is_initialized]
    slot_bytes = sum(keys.nbytes + values.nbytes for keys, values in read)
    length = min(LONG_TEXT, LONG_TEXT_BYTES // slot_bytes, model.context_window - len(PARENTS))
    if length <= max(SHORT_TEXTS):
        return length, 0.0
    made_up = [(_spread(keys, length) * 0, _spread(values, length)) for keys, values in read]
    tree = _tree(model, int(rng.integers(model.vocabulary_size)), rng)
    rows = model.forward(
        _filled(model, made_up, length),
        torch.tensor(tree.tokens)[None],
        torch.from_numpy(position_ids(tree, length))[None],
        of_trees([tree], [length])[None],
    ).logits[0]
    branch = BRANCHES[0]
    ids = torch.tensor(tree.tokens[branch])[None].to(model.device)
    cache = DynamicCache()
    for number, (keys, values) in enumerate(made_up):
        cache.update(keys, values, number)
    plain = model.model(input_ids=ids, past_key_values=cache, use_cache=True).logits[0]
    return length, float(np.median(_distances(rows[branch], plain)))


def _tree(model: CausalLM, root: int, rng: np.random.Generator) -> DraftTree:
    tokens = rng.integers(0, model.vocabulary_size, len(PARENTS))
    tokens[0] = root
    for node, sibling in SECOND_CHILDREN.items():
        tokens[node] = (tokens[sibling] + 1) % model.vocabulary_size
    return DraftTree(tokens, PARENTS, np.zeros(len(PARENTS)))


def _spread(states: torch.Tensor, length: int) -> torch.Tensor:
    """[batch, heads, length, size] random values on the device and of the type of states."""
    generator = torch.Generator().manual_seed(0)
    shape = (*states.shape[:2], length, states.shape[3])
    return (VALUE_SCALE * torch.randn(shape, generator=generator)).to(states)


def _filled(model: CausalLM, made_up: list[tuple[torch.Tensor, torch.Tensor]], length: int) -> PathCache:
    cache = model.new_cache()
    for layer, (keys, values) in zip(cache.path_layers, made_up, strict=True):
        layer.update(keys, values)
    cache.record_positions(torch.arange(length, device=model.device)[None])
    cache.keep(list(range(length)))
    return cache


def _distances(rows: torch.Tensor, plain: torch.Tensor) -> list[float]:
    """For each row except the root's, the distance between the logits relative to their spread."""
    rows, plain = rows[1:].double().cpu(), plain[1:].double().cpu()
    spread = (plain - plain.mean(dim=1, keepdim=True)).norm(dim=1)
    return ((rows - plain).norm(dim=1) / spread).tolist()


@contextmanager
def _in_evaluation(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode (no dropout) inside the block; afterwards every module has its former mode."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
