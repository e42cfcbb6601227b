"""What a call of a target has to move and to multiply, and the least time in which a machine can do it.

A roofline (Williams, Waterman and Patterson 2009, "Roofline"): a call reads its weights and the keys and
values of its context once, and multiplies every node with every weight matrix. It takes no less than either
alone takes at the machine's measured ceilings.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallWork:
    """The work of one call of a dense target.

    weight_bytes: of the weights that every call reads. streamed_bytes: those of them that come from disk or
    from the host's memory, where weights are offloaded. node_flops: operations on one node with all weight
    matrices, two for each weight. kv_bytes, attention_flops: of one token of context in one layer; the
    operations are those of one node. full_layers see the whole context, sliding_layers the last `window`
    tokens.
    """

    weight_bytes: int
    streamed_bytes: int
    node_flops: float
    kv_bytes: int
    attention_flops: float
    full_layers: int
    sliding_layers: int = 0
    window: int = 0

    def bytes_read(self, context_tokens: float, batch_size: int = 1) -> float:
        """Bytes that a call must read: weights once, keys and values of every text."""
        return self.weight_bytes + batch_size * self.kv_bytes * self._layer_tokens(context_tokens)

    def flops(self, nodes: float, context_tokens: float, batch_size: int = 1) -> float:
        """Operations of a call with a tree of `nodes` for every text."""
        for_a_node = self.node_flops + self.attention_flops * self._layer_tokens(context_tokens)
        return batch_size * nodes * for_a_node

    def _layer_tokens(self, context_tokens: float) -> float:
        windowed = min(context_tokens, self.window)
        return self.full_layers * context_tokens + self.sliding_layers * windowed


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What a machine reached at its best while it was measured.

    memory_bytes_per_second: reading memory. flops_per_second: a large matrix product in the target's type
    of numbers. stream_bytes_per_second: from where offloaded weights come; None without offload.
    """

    memory_bytes_per_second: float
    flops_per_second: float
    stream_bytes_per_second: float | None = None

    def least_seconds(
        self, work: CallWork, nodes: float, context_tokens: float, batch_size: int = 1
    ) -> float:
        """The roofline at one call: the largest of what reading, multiplying and streaming take."""
        seconds = [
            work.bytes_read(context_tokens, batch_size) / self.memory_bytes_per_second,
            work.flops(nodes, context_tokens, batch_size) / self.flops_per_second,
        ]
        if self.stream_bytes_per_second is not None:
            seconds.append(work.streamed_bytes / self.stream_bytes_per_second)
        return max(seconds)

    def ridge(self, work: CallWork, context_tokens: float, batch_size: int = 1) -> float:
        """The number of nodes at which multiplying takes as long as moving: beyond it nodes cost time."""
        return self.least_seconds(work, 0.0, context_tokens, batch_size) / (
            work.flops(1.0, context_tokens, batch_size) / self.flops_per_second
        )
