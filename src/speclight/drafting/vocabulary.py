"""Which token of the drafter is which token of the target."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from transformers import PreTrainedTokenizerBase

from speclight.arrays import IntArray
from speclight.errors import VocabularyMismatch
from speclight.models.causal_lm import CausalLM

NO_TOKEN = -1


@dataclass(frozen=True, slots=True, eq=False)
class TokenMap:
    """A one-to-one map between the tokens that drafter and target share, and spellings for the others.

    target_ids: [drafter's vocabulary] the target's id of each of the drafter's tokens, NO_TOKEN where none;
    only tokens with one can be drafted. draft_ids: [target's vocabulary] the inverse. A token of the target
    that the drafter lacks is read by it as `tokenizer`'s tokens for the same text.
    """

    target_ids: IntArray
    draft_ids: IntArray
    target_tokenizer: PreTrainedTokenizerBase
    draft_tokenizer: PreTrainedTokenizerBase
    _spellings: dict[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def is_identity(self) -> bool:
        """Whether every token has the same id on both sides."""
        size = len(self.target_ids)
        return size == len(self.draft_ids) and bool((self.target_ids == np.arange(size)).all())

    def spelled(self, token_ids: list[int]) -> list[int]:
        """A text of the target in the drafter's tokens: at least one for each token of the target."""
        spelled: list[int] = []
        for token in token_ids:
            draft_id = int(self.draft_ids[token])
            spelled.extend([draft_id] if draft_id != NO_TOKEN else self._spelling(token))
        return spelled

    def _spelling(self, token: int) -> tuple[int, ...]:
        if token not in self._spellings:
            text = self.target_tokenizer.decode([token])
            ids = self.draft_tokenizer.encode(text, add_special_tokens=False) if text else []
            self._spellings[token] = tuple(ids) or (_placeholder(self.draft_tokenizer),)
        return self._spellings[token]


def same_vocabulary(drafter: CausalLM, target: CausalLM) -> TokenMap:
    """The identity, for a drafter with the target's own tokenizer.

    Models may differ in the rows they pad their vocabulary to: tokens that one side lacks are never drafted.
    Raises VocabularyMismatch if any token has another id on the other side.
    """
    drafts, targets = drafter.tokenizer.get_vocab(), target.tokenizer.get_vocab()
    if drafter.tokenizer is not target.tokenizer and drafts != targets:
        different = sum(targets.get(token) != index for token, index in drafts.items())
        raise VocabularyMismatch(
            f"got the drafter {drafter.name} with {len(drafts)} tokens, {different} of which the target "
            f"{target.name} ({len(targets)} tokens) lacks or numbers differently; expected the target's "
            "tokenizer: give a drafter made for this target, or vocabulary='shared' to draft only the tokens "
            "that both have"
        )
    shared = min(drafter.vocabulary_size, target.vocabulary_size)
    ids = np.arange(shared)
    return _token_map(drafter, target, ids, ids)


def shared_vocabulary(drafter: CausalLM, target: CausalLM) -> TokenMap:
    """The tokens that are written alike on both sides; only these can be drafted.

    Special tokens are left out: they are written alike without meaning the same. The marks for a leading
    space of byte-level and of SentencePiece tokenizers count as one. Source of the idea: token-level
    intersection, Timor et al. 2025, "Accelerating LLM Inference with Lossless Speculative Decoding Algorithms
    for Heterogeneous Vocabularies" (arXiv 2502.05202), section 4.
    Raises VocabularyMismatch if there is no such token.
    """
    drafts, targets = _plain_tokens(drafter), _plain_tokens(target)
    shared = [(index, targets[token]) for token, index in drafts.items() if token in targets]
    if not shared:
        raise VocabularyMismatch(
            f"got the drafter {drafter.name}, which writes none of its tokens as the target {target.name} "
            "does; expected some in common: give another drafter"
        )
    draft_ids, target_ids = np.array(sorted(shared)).T
    return _token_map(drafter, target, draft_ids, target_ids)


def _plain_tokens(model: CausalLM) -> dict[str, int]:
    special = set(model.tokenizer.all_special_ids)
    return {
        token.replace("Ġ", "▁"): index
        for token, index in model.tokenizer.get_vocab().items()
        if index not in special and index < model.vocabulary_size
    }


def _token_map(drafter: CausalLM, target: CausalLM, draft_ids: IntArray, target_ids: IntArray) -> TokenMap:
    to_target = np.full(drafter.vocabulary_size, NO_TOKEN)
    to_draft = np.full(target.vocabulary_size, NO_TOKEN)
    to_target[draft_ids], to_draft[target_ids] = target_ids, draft_ids
    return TokenMap(to_target, to_draft, target.tokenizer, drafter.tokenizer)


def _placeholder(tokenizer: PreTrainedTokenizerBase) -> int:
    """Stands for a token without any text of its own, such as another model's turn marker."""
    for token in (tokenizer.unk_token_id, tokenizer.eos_token_id):
        if isinstance(token, int):
            return token
    return 0
