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
    joins_embedding=False,
    window=None,
):
    """Logits after the root and after each drafted token of one path, and the states behind them.

    features: [positions, layers * hidden] of all committed tokens but the last. tokens: all committed ones.
    Biases, norms of queries and keys, norms before fusing and further layers are used where the state has
    them. joins_embedding: EAGLE-1's arrangement.
    """

    def linear(name, x):
        return x @ state[name + ".weight"].T + state.get(name + ".bias", 0.0)

    def norm(name, x):
        return rms_norm(x, state[name + ".weight"], eps) if name + ".weight" in state else x

    def layer(name, cache, residual, read, position):
        """One decoder layer. cache: keys and values of the positions before."""
        size = state[name + "self_attn.q_proj.weight"].shape[0] // heads
        q = norm(name + "self_attn.q_norm", linear(name + "self_attn.q_proj", read).view(heads, size))
        k = norm(name + "self_attn.k_norm", linear(name + "self_attn.k_proj", read).view(kv_heads, size))
        q, k = rotate(q, position, base), rotate(k, position, base)
        cache.append((k, linear(name + "self_attn.v_proj", read).view(kv_heads, size)))
        seen = cache if window is None else cache[-window:]
        read = []
        for head in range(heads):
            group = head * kv_heads // heads
            scores = torch.stack([q[head] @ key[group] for key, _ in seen]) / size**0.5
            weights = torch.softmax(scores, 0)
            read.append(sum(w * value[group] for w, (_, value) in zip(weights, seen, strict=True)))
        x = residual + linear(name + "self_attn.o_proj", torch.cat(read))
        y = norm(name + "post_attention_layernorm", x)
        gate = torch.nn.functional.silu(linear(name + "mlp.gate_proj", y))
        return x + linear(name + "mlp.down_proj", gate * linear(name + "mlp.up_proj", y))

    if "fc_norm.0.weight" in state:
        blocks = features.chunk(3, dim=-1)
        features = torch.cat([norm(f"fc_norm.{place}", block) for place, block in enumerate(blocks)], -1)
    features = norm("input_norm", features)
    fused = features if joins_embedding or "fc.weight" not in state else linear("fc", features)
    later = sorted({name.split(".")[1] for name in state if name.startswith("layers.")})
    caches = [[] for _ in range(1 + len(later))]
    logits, states = [], []
    inputs = list(zip(tokens[1:], fused, strict=True)) + [(token, None) for token in drafted]
    for position, (token, h) in enumerate(inputs):
        if h is None:
            h = norm("norm", states[-1]) if normed_recurrence else states[-1]
        if joins_embedding:
            residual = read = linear("fc", torch.cat([embedding[token], h]))
        else:
            normed = norm("midlayer.hidden_norm", h)
            residual = normed if residual_after_norm else h
            read = torch.cat([norm("midlayer.input_layernorm", embedding[token]), normed])
        x = layer("midlayer.", caches[0], residual, read, position)
        for cache, place in zip(caches[1:], later, strict=True):
            x = layer(f"layers.{place}.", cache, x, norm(f"layers.{place}.input_layernorm", x), position)
        states.append(x)
        if position >= len(tokens) - 2:
            logits.append(linear("lm_head", norm("norm", x) if norm_before_output else x))
    return torch.stack(logits), torch.stack(states[len(tokens) - 2 :])
