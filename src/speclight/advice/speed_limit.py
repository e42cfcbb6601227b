"""The most tokens per second that any decode of a run's texts can reach with measured call times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speclight.errors import InvalidInput
from speclight.measure.latency.curve import CallTimeCurve
from speclight.measure.latency.record import LatencyRecord
from speclight.measure.profile import Profile
from speclight.theory.ergodic.least_cost import UpperEstimate
from speclight.theory.ergodic.seconds import fastest_decode
from speclight.theory.laws.sampled_text import SampledText

if TYPE_CHECKING:  # which runs models; plans alone do without
    from speclight.measure.decoded_run.record import DecodedText


@dataclass(frozen=True, slots=True)
class SpeedLimit:
    """No decode with deterministic drafts and these call times emits more, drafting and the loop for nothing.

    tokens_per_second: the bound, of a decode that goes on behind the texts' length limit. largest_tree: nodes
    of the largest tree timed; larger ones are not among those decodes. plain_seconds: T(1) of the same times
    at the mean context of the texts' first tokens.
    """

    tokens_per_second: UpperEstimate
    largest_tree: int
    plain_seconds: float


def check_target_timed(times: LatencyRecord, target: str, weights_sha256: str | None) -> None:
    """Raise InvalidInput if the call times are of other weights than those of a target's record."""
    timed = times.plan.get("weights_sha256")
    if timed is not None and weights_sha256 is not None and timed != weights_sha256:
        raise InvalidInput(
            f"the call times are of {times.target} with other weights than {target} has in the record, "
            "expected one target in both; time the calls of the target that was recorded",
            argument="latency",
        )


def speed_limit(texts: Sequence[DecodedText], curve: CallTimeCurve) -> SpeedLimit:
    """The limit of decodes of such texts (docs/theory/seconds.md). curve: of single texts.

    Raises InvalidInput for a curve of batches, and texts without tokens.
    """
    if curve.batch_size != 1:
        raise InvalidInput(
            f"got call times of {curve.batch_size} texts at once, expected those of single texts; time calls "
            "with batch size 1 among them",
            argument="batch_sizes",
        )
    contexts = [len(text.prompt_token_ids) for text in texts]
    found = _fastest([text.sampled for text in texts], contexts, curve)
    mean_context = sum(contexts) / len(contexts)
    return SpeedLimit(found, int(curve.nodes[-1]), curve.seconds(int(curve.nodes[0]), mean_context))


def limit_of_mix(profile: Profile, mix: Mapping[str, float], curve: CallTimeCurve) -> float:
    """Tokens per second of all texts of a batch that no deterministic drafting exceeds, at these call times.

    mix: share of the tokens by family. Texts of a batch share each call's nodes as is best for them, and one
    that ends is replaced. Drafting and the loop are for nothing. Source: ours (docs/theory/seconds.md).
    """
    per_token = 0.0
    for family, share in mix.items():
        contexts = [len(text.prompt_token_ids) for text in profile.of_family(family)]
        found = _fastest(profile.sampled_texts(family), contexts, curve)
        per_token += share / found.value
    return curve.batch_size / per_token


def _fastest(texts: Sequence[SampledText], contexts: Sequence[int], curve: CallTimeCurve) -> UpperEstimate:
    """Of each text of a batch."""
    # Contexts count from the shortest one timed, whose seconds hold what that many tokens cost.
    shortest = int(curve.context_tokens[0])
    return fastest_decode(
        texts,
        curve.by_size(shortest),
        curve.least_seconds_per_context_token,
        [tokens - shortest for tokens in contexts],
        requests=curve.batch_size,
    ).going_on
