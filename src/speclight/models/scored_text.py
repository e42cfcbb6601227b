"""One text being decoded: its committed tokens, and the target's cache over all of them but the last."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from speclight.arrays import IntArray
from speclight.errors import InvalidInput
from speclight.models.causal_lm import CausalLM
from speclight.models.common_prefix import common_prefix_length
from speclight.models.joint_cache import JointCache
from speclight.models.readings import Begun
from speclight.models.visibility import of_trees
from speclight.trees.attention import position_ids
from speclight.trees.draft_tree import DraftTree


class ScoredText:
    """Scores draft trees after a text in one target call each, and takes the accepted path into the text.

    The last committed token is never in the cache before a call: it is the root of the next tree, and the
    call that scores the tree reads it. So plain decoding is the special case of root-only trees.
    hidden_layers: layers whose entering states the drafter wants of every committed position but the last.
    begun: a beginning of the text that was read already, with these layers' states.
    Raises InvalidInput for an empty prompt or another text's beginning, and ContextOverflow for a prompt that
    fills the window.
    """

    def __init__(
        self,
        model: CausalLM,
        token_ids: list[int],
        hidden_layers: tuple[int, ...] = (),
        begun: Begun | None = None,
    ) -> None:
        model.check_text_fits(token_ids)
        self.model = model
        self.token_ids = list(token_ids)
        self.cache = model.new_cache() if begun is None else begun.goes_on(token_ids, hidden_layers)
        self.hidden_layers = hidden_layers
        self._tree_features: torch.Tensor | None = None
        self._features = [] if begun is None or begun.features is None else [begun.features]
        self._read(self.token_ids[self.cache.committed : -1])

    def continue_with(self, token_ids: list[int]) -> int:
        """Make this the text of `token_ids`, keeping what its cache holds of them; returns how many tokens.

        For the next turn of a conversation, or another continuation of one prompt: only tokens from the first
        difference on are read. Raises as the constructor does, the text then unchanged.
        """
        self.model.check_text_fits(token_ids)
        # The last token is left to the next call, which reads it, whether it was read before or not.
        kept = common_prefix_length(self.token_ids[: self.cache.committed], token_ids[:-1])
        features = self.features
        self._features = [] if features is None else [features[:kept]]
        self._tree_features = None
        self.cache.rewind(kept)
        self.token_ids = list(token_ids)
        self._read(self.token_ids[kept:-1])
        return kept

    @property
    def features(self) -> torch.Tensor | None:
        """[committed - 1, layers * hidden size] of all positions but the last; None if no layer is wanted."""
        return torch.cat(self._features) if self._features else None

    @property
    def room(self) -> int:
        """Positions left in the context window, the root's included: no tree may be deeper."""
        return self.model.context_window - self.cache.committed

    def score(self, tree: DraftTree) -> torch.Tensor:
        """[nodes, vocab] unprocessed logits of the token after each node, one tree-attention call.

        The tree's slots stay in the cache, uncommitted, until `commit`. Raises as `score_together` does.
        """
        return score_together([self], [tree])[0]

    def commit(self, path: IntArray, emitted_tokens: list[int]) -> torch.Tensor | None:
        """Keep the accepted path (root first) in the cache and append the emitted tokens to the text.

        Returns the features of the kept path, [kept, layers * hidden size], if any layer is wanted.

        When an end-of-text or length limit cut the emission short, the path is cut with it: the last
        emitted token always stays out of the cache.
        """
        kept = path[: len(emitted_tokens)]
        self.cache.keep([self.cache.committed + int(node) for node in kept])
        self.token_ids.extend(emitted_tokens)
        if self._tree_features is None:
            return None
        features = self._tree_features
        if len(kept) < len(features):
            features = features[torch.from_numpy(kept)]
        self._features.append(features)
        return features

    def _read(self, token_ids: list[int]) -> None:
        features = self.model.prefill(self.cache, token_ids, self.hidden_layers)
        if features is not None:
            self._features.append(features)


def score_together(texts: Sequence[ScoredText], trees: Sequence[DraftTree]) -> list[torch.Tensor]:
    """[nodes, vocab] unprocessed logits of the tokens after each text's tree, all in one target call.

    Texts and trees may be of any sizes: the trees stand one after the other in one row, each seeing its own
    text alone. Each tree's slots stay in its text's cache, uncommitted, until `commit`.
    Raises InvalidInput if a root is not the last committed token of its text, or if the texts are of several
    models or want states of different layers; ContextOverflow and BrokenModelOutput as `CausalLM.forward`.
    """
    model, hidden_layers = texts[0].model, texts[0].hidden_layers
    for text, tree in zip(texts, trees, strict=True):
        _check_root(text, tree)
        if text.model is not model or text.hidden_layers != hidden_layers:
            raise InvalidInput(
                f"got texts of {model.name} with states of layers {hidden_layers} and of {text.model.name} "
                f"with {text.hidden_layers}, expected one model and the same layers to score them together"
            )
    committed, nodes = [text.cache.committed for text in texts], [len(tree) for tree in trees]
    caches = [text.cache for text in texts]
    positions = [position_ids(tree, root) for tree, root in zip(trees, committed, strict=True)]
    output = model.forward(
        caches[0] if len(caches) == 1 else JointCache(caches, nodes),
        torch.from_numpy(np.concatenate([tree.tokens for tree in trees]))[None],
        torch.from_numpy(np.concatenate(positions))[None],
        of_trees(trees, committed)[None],
        hidden_layers=hidden_layers,
    )
    if output.features is not None:
        for text, features in zip(texts, output.features[0].split(nodes), strict=True):
            text._tree_features = features
    return list(output.logits[0].split(nodes))


def _check_root(text: ScoredText, tree: DraftTree) -> None:
    if tree.tokens[0] != text.token_ids[-1]:
        raise InvalidInput(
            f"the tree's root is token {tree.tokens[0]}, expected the last committed token "
            f"{text.token_ids[-1]}; draft from the text as it stands"
        )
