"""Synthetic token laws whose moments are exact, to test every bound against truth.

A source is a finite random environment. Each context has a hidden type; the token law at a context is one row
of the type's pool, each row equally likely and drawn anew at every node; the type of the next context depends
on the type before and on the token. This one form covers
- i.i.d. contexts: one type (BRW, arXiv 2512.11718v1, Assumption 1), with one row (uniform, Zipf) or many
  (Dirichlet, mixtures). A Dirichlet source *is* its pool of rows, so its moments are exact finite means;
- Markov-modulated contexts: several types, so that easy contexts cluster;
- tabular autoregressive models: one row per type, the next type fixed by the token; enumerable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import polygamma  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from speclight.arrays import FloatArray, IntArray
from speclight.errors import InvalidInput
from speclight.theory.laws.likely_tokens import likely_tokens
from speclight.theory.laws.sampled_text import SampledText

# Rows are made by float64 divisions and sums over at most a few hundred entries: they miss 1 by some 1e-14.
SUM_ATOL = 1e-12


@dataclass(frozen=True, slots=True, eq=False)  # array fields: compare with np.array_equal, not ==
class TokenSource:
    """A source of token laws; see the module header.

    laws: [types, rows, vocab] token laws, each summing to 1. next_type: [types, vocab, types] law of the next
    context's type given type and token. start: [types] law of the type of the context where a call starts
    (the stationary one unless the source ends texts). end_of_text: the token that ends a text, or None.

    Raises InvalidInput if shapes disagree or a law does not sum to 1.
    """

    name: str
    laws: FloatArray
    next_type: FloatArray
    start: FloatArray
    end_of_text: int | None = None

    def __post_init__(self) -> None:
        types, _, vocab = self.laws.shape
        if self.next_type.shape != (types, vocab, types) or self.start.shape != (types,):
            raise InvalidInput(
                f"source {self.name}: laws {self.laws.shape} need next_type {(types, vocab, types)} and "
                f"start {(types,)}, got {self.next_type.shape} and {self.start.shape}"
            )
        for label, law in (("laws", self.laws), ("next_type", self.next_type), ("start", self.start)):
            if (law < 0).any() or not np.allclose(law.sum(axis=-1), 1.0, rtol=0, atol=SUM_ATOL):
                raise InvalidInput(f"source {self.name}: every row of {label} must be a law summing to 1")
            law.setflags(write=False)

    @property
    def is_iid(self) -> bool:
        """Whether the laws at different contexts are independent and equally distributed, without end."""
        return len(self.start) == 1 and self.end_of_text is None

    @property
    def mu(self) -> float:
        """Mean entropy of a context under the start law, nats."""
        return float(self.start @ self.entropies.mean(axis=1))

    @property
    def mu2(self) -> float:
        """Mean of sum p (ln p)^2 over contexts under the start law, nats squared."""
        logs = np.log(np.where(self.laws > 0, self.laws, 1.0))
        return float(self.start @ (self.laws * logs**2).sum(axis=-1).mean(axis=1))

    @property
    def entropies(self) -> FloatArray:
        """[types, rows] entropy of each law, nats."""
        logs = np.log(np.where(self.laws > 0, self.laws, 1.0))
        return -(self.laws * logs).sum(axis=-1)


def iid_source(name: str, rows: FloatArray) -> TokenSource:
    """Independent contexts, each with one of the rows [rows, vocab], all equally likely."""
    laws = np.array(rows, dtype=np.float64)[None]
    return TokenSource(name, laws, np.ones((1, laws.shape[-1], 1)), np.ones(1))


def uniform_source(vocabulary_size: int) -> TokenSource:
    """Every token equally likely at every context: mu = ln m, mu2 = (ln m)^2."""
    return iid_source(f"uniform-{vocabulary_size}", np.full((1, vocabulary_size), 1.0 / vocabulary_size))


def zipf_source(vocabulary_size: int, exponent: float) -> TokenSource:
    """The law proportional to rank^-exponent, the same at every context."""
    weights = np.arange(1, vocabulary_size + 1, dtype=np.float64) ** -exponent
    return iid_source(f"zipf-{exponent:g}", weights[None] / weights.sum())


def dirichlet_source(
    concentration: float, vocabulary_size: int, rows: int, rng: np.random.Generator
) -> TokenSource:
    """A pool of symmetric Dirichlet laws, drawn once; `dirichlet_moments` is its large-pool limit."""
    pool = rng.dirichlet(np.full(vocabulary_size, concentration), size=rows)
    return iid_source(f"dirichlet-{concentration:g}", pool / pool.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, slots=True)
class LogMoments:
    """The two log-moments of a law of contexts.

    mu: mean entropy, nats. mu2: mean of sum p (ln p)^2, nats squared.
    """

    mu: float
    mu2: float


def dirichlet_moments(concentration: float, vocabulary_size: int) -> LogMoments:
    """Exact moments of the symmetric Dirichlet law with parameter alpha on m tokens.

    E[sum p^theta] = m G(alpha + theta) G(m alpha) / (G(alpha) G(m alpha + theta)) for the gamma function G;
    minus its first and its second derivative at theta = 1 are
    mu = psi(m alpha + 1) - psi(alpha + 1) and mu2 = mu^2 + psi'(alpha + 1) - psi'(m alpha + 1).
    """
    total = concentration * vocabulary_size
    ends = np.array([concentration + 1.0, total + 1.0])
    (low, high), (steep, flat) = np.asarray(polygamma([[0], [1]], ends), dtype=np.float64).tolist()
    return LogMoments(high - low, (high - low) ** 2 + steep - flat)


def near_deterministic_source(easy_share: float, miss: float, vocabulary_size: int) -> TokenSource:
    """Contexts that are nearly certain (first token 1 - miss) with probability easy_share, else uniform.

    easy_share is rounded to a multiple of 1/20, because the rows of a pool are equally likely.
    """
    easy_rows = round(20 * easy_share)
    rows = np.full((20, vocabulary_size), 1.0 / vocabulary_size)
    rows[:easy_rows] = _peaked_law(miss, vocabulary_size)
    return iid_source(f"near-deterministic-{easy_rows / 20:g}", rows)


def sticky_source(stay: float, miss: float, vocabulary_size: int) -> TokenSource:
    """Two types, nearly certain and uniform contexts; each keeps its type with probability `stay`."""
    laws = np.stack([_peaked_law(miss, vocabulary_size), np.full(vocabulary_size, 1.0 / vocabulary_size)])
    switch = np.array([[stay, 1.0 - stay], [1.0 - stay, stay]])
    return _modulated(f"sticky-{stay:g}", laws[:, None], np.repeat(switch[:, None], vocabulary_size, axis=1))


def token_driven_source(stay: float, rows: int, rng: np.random.Generator) -> TokenSource:
    """Three types of rising entropy on 8 tokens; the likely token keeps the type, a surprise makes it harder.

    Type j has Dirichlet rows of concentration .02, .3, 3, sorted so that token 0 is the likeliest. After
    token 0 the type stays with probability `stay`, else it eases by one; after another token it hardens by
    one with probability 1/2. So the law of the next context depends on the token as well as on the type.
    """
    types, vocabulary_size = 3, 8
    laws = np.stack(
        [
            -np.sort(-rng.dirichlet(np.full(vocabulary_size, concentration), size=rows), axis=-1)
            for concentration in (0.02, 0.3, 3.0)
        ]
    )
    next_type = np.zeros((types, vocabulary_size, types))
    for kind in range(types):
        easier, harder = max(kind - 1, 0), min(kind + 1, types - 1)
        next_type[kind, 0, kind] += stay
        next_type[kind, 0, easier] += 1.0 - stay
        next_type[kind, 1:, kind] += 0.5
        next_type[kind, 1:, harder] += 0.5
    return _modulated(f"token-driven-{stay:g}", laws / laws.sum(axis=-1, keepdims=True), next_type)


def runs_source(certain: int, spread: int) -> TokenSource:
    """`certain` tokens that are certain, then one of `spread` equally likely ones, and again.

    A decode can begin every call where certain tokens follow; uniform positions lie all over the runs.
    """
    states = certain + 1
    laws, next_type = np.zeros((states, 1, spread)), np.zeros((states, spread, states))
    laws[:certain, 0, 0], laws[certain, 0] = 1.0, 1.0 / spread
    next_type[np.arange(states), :, (np.arange(states) + 1) % states] = 1.0
    return _modulated(f"runs-{certain}-{spread}", laws, next_type)


def tabular_source(
    states: int, vocabulary_size: int, rng: np.random.Generator, end_of_text: int | None = None
) -> TokenSource:
    """A small autoregressive model: a Dirichlet(1/2) law per state, the next state fixed by state and token.

    With an end-of-text token the start law is uniform over states, otherwise it is the stationary one.
    """
    laws = rng.dirichlet(np.full(vocabulary_size, 0.5), size=(states, 1))
    laws /= laws.sum(axis=-1, keepdims=True)
    target = rng.integers(states, size=(states, vocabulary_size))
    # Token 0 leads round all states, so that the chain of states is irreducible whatever was drawn.
    target[:, 0] = (np.arange(states) + 1) % states
    next_type = np.eye(states)[target]
    if end_of_text is None:
        return _modulated(f"tabular-{states}", laws, next_type)
    start = np.full(states, 1.0 / states)
    return TokenSource(f"tabular-{states}-ending", laws, next_type, start, end_of_text)


def reference_sources() -> list[TokenSource]:
    """The ten sources on which every bound is tested: eight with i.i.d. contexts, two strongly correlated.

    Every call draws the same pools (fixed seed), so the sources are the same in tests, benchmarks and docs.
    """
    rng = np.random.default_rng(20251211)
    return [
        uniform_source(2),
        uniform_source(4),
        uniform_source(8),
        zipf_source(200, 1.2),
        dirichlet_source(0.05, 8, 4096, rng),
        dirichlet_source(0.3, 8, 4096, rng),
        dirichlet_source(2.0, 8, 4096, rng),
        near_deterministic_source(0.6, 0.02, 8),
        sticky_source(0.95, 0.02, 8),
        token_driven_source(0.9, 1024, rng),
    ]


def sample_texts(source: TokenSource, noise: FloatArray, keep_laws: bool = False) -> list[SampledText]:
    """Texts drawn from the source, cut at noise.shape[1] tokens; each is its own prompt, named by its index.

    noise: [texts, tokens, 3] uniforms in [0, 1) that choose, for each token, the context's type, its law's
    row, and the token. The feature at each start is the entropy of the context's law (nats). keep_laws: bring
    the likely part of each law as well.
    """
    texts, limit, _ = noise.shape
    seen: list[FloatArray] = []
    surprisals, entropies = np.zeros((texts, limit)), np.zeros((texts, limit))
    lengths, running = np.full(texts, limit), np.ones(texts, dtype=bool)
    laws, entropy_table = source.laws, source.entropies
    type_laws = np.broadcast_to(source.start, (texts, len(source.start)))
    for position in range(limit):
        kinds = draw(type_laws, noise[:, position, 0])
        rows = (noise[:, position, 1] * laws.shape[1]).astype(np.int64)
        law = laws[kinds, rows]
        if keep_laws:
            seen.append(law)
        tokens = draw(law, noise[:, position, 2])
        surprisals[:, position] = -np.log(law[np.arange(texts), tokens])
        entropies[:, position] = entropy_table[kinds, rows]
        type_laws = source.next_type[kinds, tokens]
        if source.end_of_text is not None:
            ends_now = running & (tokens == source.end_of_text)
            lengths[ends_now] = position + 1
            running &= ~ends_now
    ends = () if source.end_of_text is None else (source.end_of_text,)
    kept = [
        likely_tokens([law[i] for law in seen[:n]], ends) if seen else None for i, n in enumerate(lengths)
    ]
    return [
        SampledText(surprisals[i, :length], not running[i], str(i), entropies[i, :length], limit, kept[i])
        for i, length in enumerate(lengths)
    ]


def draw(laws: FloatArray, uniforms: FloatArray) -> IntArray:
    """One outcome per row of laws [rows, outcomes], chosen by uniforms [rows]; never one of probability 0."""
    passed = (laws.cumsum(axis=1) <= uniforms[:, None]).sum(axis=1)
    # A row that sums to 1 - 1e-16 could be passed entirely; its last possible outcome is meant then.
    last = laws.shape[1] - 1 - (laws[:, ::-1] > 0).argmax(axis=1)
    return np.minimum(passed, last)


def _peaked_law(miss: float, vocabulary_size: int) -> FloatArray:
    law = np.full(vocabulary_size, miss / (vocabulary_size - 1))
    law[0] = 1.0 - miss
    return law


def _modulated(name: str, laws: FloatArray, next_type: FloatArray) -> TokenSource:
    transition = np.einsum("jv,jvk->jk", laws.mean(axis=1), next_type)
    return TokenSource(name, laws, next_type, stationary_law(transition))


def stationary_law(transition: FloatArray) -> FloatArray:
    """[types] the law left unchanged by the transition matrix [types, types] of an irreducible chain."""
    types = len(transition)
    equations = np.vstack([transition.T - np.eye(types), np.ones(types)])
    solution, *_ = np.linalg.lstsq(equations, np.append(np.zeros(types), 1.0))
    law = np.maximum(solution, 0.0)
    return law / law.sum()
