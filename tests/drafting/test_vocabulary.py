"""Which drafter tokens are which target tokens, and what the drafter reads for the others."""

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE, WordLevel
from transformers import PreTrainedTokenizerFast

from speclight.decoding.decode import DecodeSettings, decode
from speclight.drafting.drafter_choices import Model
from speclight.drafting.drafters import new_drafter
from speclight.drafting.tree_choices import Batch, default_tree
from speclight.drafting.vocabulary import NO_TOKEN, same_vocabulary, shared_vocabulary
from speclight.errors import VocabularyMismatch
from speclight.models.sampling import SamplingSettings
from speclight.trees.growing_tree import GrowingTree
from speclight.verification.rules import rule_named
from toys import as_target, law_after, tiny_llama

SUM_ATOL = 1e-12  # a softmax over five tokens in float64


def words(*tokens, special=None):
    backend = Tokenizer(WordLevel({token: index for index, token in enumerate(tokens)}, unk_token=tokens[0]))
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=tokens[0], eos_token=special)


def pieces(*tokens, merges=()):
    """Byte-level BPE: any text over the letters given has a spelling."""
    backend = Tokenizer(BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def model_with(tokenizer, rows, seed=0, window=64):
    target = as_target(tiny_llama(rows, seed, layers=1, window=window))
    target.tokenizer = tokenizer
    return target


def test_one_tokenizer_is_the_identity():
    target, drafter = (model_with(words("a", "b", "c"), 3, seed) for seed in (0, 1))
    tokens = same_vocabulary(drafter, target)
    assert tokens.is_identity
    assert tokens.spelled([2, 0]) == [2, 0]


def test_padding_rows_are_never_drafted():
    """The same three tokens, padded to five rows on one side or the other."""
    target, drafter = model_with(words("a", "b", "c"), 3), model_with(words("a", "b", "c"), 5)
    tokens = same_vocabulary(drafter, target)
    assert tokens.target_ids.tolist() == [0, 1, 2, NO_TOKEN, NO_TOKEN]
    assert not tokens.is_identity
    tokens = same_vocabulary(target, drafter)
    assert tokens.draft_ids.tolist() == [0, 1, 2, NO_TOKEN, NO_TOKEN]


def test_other_tokens_without_a_map_are_an_error():
    target, drafter = model_with(words("a", "b", "c"), 3), model_with(words("b", "a", "d"), 3)
    with pytest.raises(VocabularyMismatch, match="3 of which the target"):
        same_vocabulary(drafter, target)
    with pytest.raises(VocabularyMismatch, match="vocabulary='shared'"):
        new_drafter(Model(drafter), target)


def test_shared_tokens_are_those_written_alike():
    target = model_with(words("<unk>", "a", "Ġb", "c", "<end>", special="<end>"), 5)
    drafter = model_with(words("<unk>", "▁b", "a", "<end>", "x", special="<end>"), 5)
    tokens = shared_vocabulary(drafter, target)
    assert tokens.target_ids.tolist() == [NO_TOKEN, 2, 1, NO_TOKEN, NO_TOKEN]
    assert tokens.draft_ids.tolist() == [NO_TOKEN, 2, 1, NO_TOKEN, NO_TOKEN]
    with pytest.raises(VocabularyMismatch, match="writes none of its tokens"):
        shared_vocabulary(model_with(words("x", "y"), 2), target)


def test_a_token_the_drafter_lacks_is_read_in_pieces():
    target = model_with(pieces("a", "b", "ab", "aba", merges=[("a", "b"), ("ab", "a")]), 4)
    drafter = model_with(pieces("b", "a", "ab", merges=[("a", "b")]), 3)
    tokens = shared_vocabulary(drafter, target)
    assert tokens.spelled([3, 1, 2]) == [2, 1, 0, 2]  # "aba" is "ab" "a"
    lacking = model_with(words("<unk>", "a"), 2)
    assert shared_vocabulary(lacking, target).spelled([2]) == [0]  # its token for what it does not know


def test_the_drafted_law_is_the_drafters_over_shared_tokens():
    """Read in its own tokens, restricted to what the target knows, renormalised, under the target's ids."""
    target = model_with(pieces("a", "b", "ab", "aba", merges=[("a", "b"), ("ab", "a")]), 4)
    drafter = model_with(pieces("b", "a", "ab", "bb", merges=[("a", "b"), ("b", "b")]), 4, seed=5)
    built = new_drafter(Model(drafter, "shared"), target, Batch())
    built.begin([0, 3], None)  # "a" "aba"
    tree = built.propose(4, None).tree
    law = law_after(drafter, [1, 2, 1])[[1, 0, 2]]  # a, b, ab in the drafter's order of the target's ids
    law /= law.sum()
    drafted = np.exp(tree.log_probs[1:])
    np.testing.assert_allclose(drafted, law[tree.tokens[1:]], rtol=0, atol=SUM_ATOL)
    assert abs(drafted.sum() - 1.0) < SUM_ATOL


@pytest.mark.parametrize("kind", ["deterministic", "with_replacement"])
def test_text_is_the_targets_with_a_drafter_of_another_vocabulary(kind):
    target = model_with(pieces("a", "b", "ab", "aba", merges=[("a", "b"), ("ab", "a")]), 4, seed=3)
    drafter = model_with(pieces("b", "a", "ab", "bb", merges=[("a", "b"), ("b", "b")]), 4, seed=5)
    greedy = SamplingSettings(0.0)
    built = new_drafter(Model(drafter, "shared"), target, default_tree(kind), greedy)
    calls = list(
        decode(target, built, rule_named("greedy"), [3, 0, 1], DecodeSettings(5, 25, sampling=greedy))
    )
    text = [3, 0, 1]
    while len(text) < 28:
        text.append(int(law_after(target, text).argmax()))
    assert [token for call in calls for token in call.emitted_tokens] == text[3:]
    assert max(len(call.tree) for call in calls) > 1


def test_growing_trees_number_nodes_by_path():
    """The law after a node depends on the path's tokens alone, not on who numbered it."""
    target = model_with(words("a", "b", "c"), 3)
    drafter = new_drafter(Model(target), target)
    drafter.begin([0, 1], None)
    source = drafter._source  # pyright: ignore[reportAttributeAccessIssue]
    one, other = GrowingTree(1), GrowingTree(1)
    one.add(0, np.array([2]), np.zeros(1))
    other.add(0, np.array([0, 2]), np.zeros(2))
    (from_one,) = source.laws(one, [1])
    (from_other,) = source.laws(other, [2])
    np.testing.assert_array_equal(from_one.log_probs, from_other.log_probs)
