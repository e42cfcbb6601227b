"""An EAGLE-3 head that starts as the best linear predictor of the target's next state.

With the target's own last norm and output matrix behind it, what a head has to find is the target's last
state one token on. Least squares on stored texts gives the best guess linear in the target's features and
the token's embedding for one pass over the texts, where gradient descent would need hundreds of steps.
The feature part is `fc`. The embedding reaches the state only through attention, so most attention heads
are set up to look at their own position and to carry a low-rank piece of the embedding part.
"""

from __future__ import annotations

from typing import Any

import torch

from speclight.drafting.eagle3.network import Eagle3Network
from speclight.drafting.eagle3.target_matrices import output_matrix
from speclight.models.causal_lm import CausalLM
from speclight.training.shards import ScoredConversation

# Share of the attention heads that look at their own position; the others start at random.
OWN_POSITION_SHARE = 2 / 3
# Attention score of a position on itself: e^12 outweighs some hundred other positions with scores about 0.
OWN_SCORE = 12.0
# Directions that all embeddings share say nothing about which token it is, and would blur the scores.
SHARED_DIRECTIONS = 32
# Ridge, as a share of the mean squared input: the features are nearly collinear between layers.
RIDGE = 1e-3
RANDOM_STD = 0.02
ROWS_AT_ONCE = 4096


def start_linear(
    network: Eagle3Network,
    target: CausalLM,
    target_ids: torch.Tensor,
    feature_scale: torch.Tensor,
    texts: list[ScoredConversation],
) -> None:
    """Set the weights of a blank head, in place.

    target_ids: [draft vocabulary]. feature_scale: [layers * hidden] what features are divided by before `fc`.
    """
    decoder: Any = target.model.get_decoder()
    own = network.midlayer
    with torch.no_grad():
        network.norm.weight.copy_(decoder.norm.weight)
        network.lm_head.weight.copy_(output_matrix(target)[target_ids])
        own.mlp.load_state_dict(decoder.layers[-1].mlp.state_dict())
        own.mlp.down_proj.weight.zero_()
        own.post_attention_layernorm.weight.copy_(decoder.layers[-1].post_attention_layernorm.weight)
        weights = _least_squares(network, feature_scale, texts)
        fused = network.fc.in_features
        network.fc.weight.copy_(weights[:fused].T)
        _carry_embedding(network, weights[fused:].T, texts)


def _least_squares(
    network: Eagle3Network, feature_scale: torch.Tensor, texts: list[ScoredConversation]
) -> torch.Tensor:
    """[inputs, hidden] weights on features and normed embedding that best give the next state, un-normed."""
    inputs, device = network.fc.in_features + network.sizes.hidden, network.fc.weight.device
    gram = torch.zeros(inputs, inputs, device=device)
    moment = torch.zeros(inputs, network.sizes.hidden, device=device)
    scale = feature_scale.to(device)
    features = torch.cat([text.features[text.written_from : -1] for text in texts])
    tokens = torch.cat([text.tokens[text.written_from + 1 :] for text in texts]).long()
    states = torch.cat([text.last_states[text.written_from + 1 :] for text in texts])
    pieces = (tensor.split(ROWS_AT_ONCE) for tensor in (features, tokens, states))
    for feature, token, state in zip(*pieces, strict=True):
        embedded = network.midlayer.input_layernorm(network.embed_tokens(token.to(device)))
        rows = torch.cat([feature.to(device) / scale, embedded], dim=1)
        gram += rows.T @ rows
        moment += rows.T @ (state.to(device) / network.norm.weight)
    gram += RIDGE * gram.diagonal().mean() * torch.eye(inputs, device=device)
    return torch.linalg.solve(gram, moment)


def _carry_embedding(
    network: Eagle3Network, embedding_part: torch.Tensor, texts: list[ScoredConversation]
) -> None:
    """Set up the attention so that it adds embedding_part ([hidden, hidden]) times the embedding."""
    sizes, attention = network.sizes, network.midlayer.self_attn
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj):
        torch.nn.init.normal_(projection.weight, std=RANDOM_STD)
    own = int(sizes.kv_heads * OWN_POSITION_SHARE)
    if sizes.kv_heads != sizes.heads or own == 0:
        return  # grouped heads share values: they start at random
    width, hidden = own * sizes.head_size, sizes.hidden
    tokens = torch.cat([text.tokens for text in texts]).long()[:ROWS_AT_ONCE]
    embedded = network.midlayer.input_layernorm(network.embed_tokens(tokens.to(embedding_part.device)))
    _, _, shared = torch.linalg.svd(embedded, full_matrices=False)
    shared = shared[:SHARED_DIRECTIONS]
    looking = torch.randn(width, hidden).to(embedding_part.device)
    looking -= looking @ shared.T @ shared
    score = (embedded @ looking.T).square().sum(dim=1).mean() / own * sizes.head_size**-0.5
    looking *= (OWN_SCORE / score).sqrt()
    attention.q_proj.weight[:width, :hidden] = looking
    attention.k_proj.weight[:width, :hidden] = looking
    left, sizes_of, right = torch.linalg.svd(embedding_part)
    rank = min(width, hidden)
    roots = sizes_of[:rank].sqrt()
    attention.v_proj.weight[:rank, :hidden] = roots[:, None] * right[:rank]
    attention.o_proj.weight[:, :rank] = left[:, :rank] * roots
