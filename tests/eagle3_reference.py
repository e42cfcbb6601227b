"""An EAGLE-3 head on one page: one path, no tree, no cache, no code of the package.

state: a checkpoint's tensors by the EAGLE authors' names. Attention is written out position by position.
"""

import torch


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate(x, position, base):
    """Rotary embedding of [heads, size] at one position, halves paired as in Llama."""
    half = x.shape[-1] // 2
    angle = position * base ** (-torch.arange(half, dtype=x.dtype) / half)
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * angle.cos() - right * angle.sin(), right * angle.cos() + left * angle.sin()], -1)


def reference_path(
    state,
    embedding,
    features,
    tokens,
    heads,
    kv_heads,
    drafted,
    *,
    eps=1e-6,
    base=10_000.0,
    residual_after_norm=False,
    norm_before_output=True,
    normed_recurrence=False,
):
    """Logits after the root and after each drafted token of one path, and the states behind them.

    features: [positions, layers * hidden] of all committed tokens but the last. tokens: all committed ones.
    """

    def linear(name, x):
        return x @ state[name + ".weight"].T

    hidden_size = state["norm.weight"].shape[0]
    size = state["midlayer.self_attn.q_proj.weight"].shape[0] // heads
    keys, values, logits, states = [], [], [], []
    hidden = linear("fc", features)
    inputs = list(zip(tokens[1:], hidden, strict=True)) + [(token, None) for token in drafted]
    for position, (token, h) in enumerate(inputs):
        if h is None:
            h = rms_norm(states[-1], state["norm.weight"], eps) if normed_recurrence else states[-1]
        e = rms_norm(embedding[token], state["midlayer.input_layernorm.weight"], eps)
        normed = rms_norm(h, state["midlayer.hidden_norm.weight"], eps)
        both = torch.cat([e, normed])
        q = rotate(linear("midlayer.self_attn.q_proj", both).view(heads, size), position, base)
        keys.append(rotate(linear("midlayer.self_attn.k_proj", both).view(kv_heads, size), position, base))
        values.append(linear("midlayer.self_attn.v_proj", both).view(kv_heads, size))
        read = []
        for head in range(heads):
            group = head * kv_heads // heads
            scores = torch.stack([q[head] @ key[group] for key in keys]) / size**0.5
            weights = torch.softmax(scores, 0)
            read.append(sum(w * value[group] for w, value in zip(weights, values, strict=True)))
        x = (normed if residual_after_norm else h) + linear("midlayer.self_attn.o_proj", torch.cat(read))
        y = rms_norm(x, state["midlayer.post_attention_layernorm.weight"], eps)
        gate = torch.nn.functional.silu(linear("midlayer.mlp.gate_proj", y))
        x = x + linear("midlayer.mlp.down_proj", gate * linear("midlayer.mlp.up_proj", y))
        assert x.shape == (hidden_size,)
        states.append(x)
        if position >= len(tokens) - 2:
            out = rms_norm(x, state["norm.weight"], eps) if norm_before_output else x
            logits.append(linear("lm_head", out))
    return torch.stack(logits), torch.stack(states[len(tokens) - 2 :])
