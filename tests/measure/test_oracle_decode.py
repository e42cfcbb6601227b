"""Replaying text through oracle trees: the trees are the searched ones, the calls tile the text."""

import numpy as np
import pytest

from speclight.errors import StorageError
from speclight.measure.oracle_decode import oracle_decode, run_oracle_decode
from speclight.measure.profile import Profile, ProfiledText, ProfileSettings
from speclight.measure.true_limit import oracle_contexts
from speclight.models.batch_sampling import sample_continuations
from speclight.models.sampling import SamplingSettings
from toys import tiny_target

PROMPT = [0, 1, 2]
# Float64 on both sides, sums of up to 12 products.
VALUE_ATOL = 1e-10


def sampled_texts(target, count, tokens, seed=0):
    texts = sample_continuations(
        target, [PROMPT] * count, tokens, SamplingSettings(), [seed + i for i in range(count)]
    )
    return [
        ProfiledText(
            prompt_id=f"p-{number}",
            family="toy",
            sample=0,
            prompt_token_ids=tuple(PROMPT),
            token_ids=text.token_ids,
            log_probs=np.zeros(len(text.token_ids)),
            entropies=np.zeros(len(text.token_ids)),
            second_log_moments=np.zeros(len(text.token_ids)),
            ended=text.ended,
        )
        for number, text in enumerate(texts)
    ]


@pytest.mark.parametrize("end_of_text", [frozenset(), frozenset({4})])
def test_calls_tile_the_text_and_their_trees_are_the_searched_ones(end_of_text):
    target = tiny_target(vocabulary_size=5, seed=2, end_of_text=end_of_text, layers=1)
    for text in sampled_texts(target, 4, 14):
        calls = oracle_decode(target, text, (1, 4, 12), 10, SamplingSettings())
        for budget in (1, 4, 12):
            own = [call for call in calls if call.node_budget == budget]
            position = 0
            for call in own:
                assert call.start == position
                position += call.tokens_emitted
            assert position >= min(10, len(text.token_ids))
            roots = [len(PROMPT) + call.start - 1 for call in own]
            ids = [*PROMPT, *text.token_ids]
            searched = oracle_contexts(target, ids, roots, budget, SamplingSettings())
            for call, context in zip(own, searched, strict=True):
                assert abs(call.expected_tokens - context.tokens_per_call(budget)) < VALUE_ATOL
        assert all(call.tokens_emitted == 1 for call in calls if call.node_budget == 1)


@pytest.mark.slow
def test_tokens_emitted_have_the_mean_the_tree_promises():
    """First calls of 150 texts at P = 6. False alarm: |z| > 4, 6e-5 (fixed seed). Power: leaving out the
    target's own token moves the mean by 1, more than 10 standard errors."""
    target = tiny_target(vocabulary_size=5, seed=2, layers=1)
    texts = sampled_texts(target, 150, 8, seed=100)
    emitted = []
    for text in texts:
        (call, *_) = oracle_decode(target, text, (6,), 1, SamplingSettings())
        emitted.append(call.tokens_emitted)
    (context,) = oracle_contexts(target, PROMPT, [len(PROMPT) - 1], 6, SamplingSettings())
    error = np.std(emitted) / np.sqrt(len(emitted))
    assert abs(np.mean(emitted) - context.tokens_per_call(6)) < 4 * error


def test_more_texts_go_on_in_the_same_folder_and_another_plan_is_refused(tmp_path):
    target = tiny_target(vocabulary_size=5, seed=2, layers=1)
    profile = Profile(ProfileSettings(max_tokens=8), tuple(sampled_texts(target, 5, 8)), {})
    few = run_oracle_decode(target, profile, 2, (3,), 6, tmp_path)
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("text-*")}
    more = run_oracle_decode(target, profile, 4, (3,), 6, tmp_path)
    assert {call.prompt_id for call in few} < {call.prompt_id for call in more}
    assert len(list(tmp_path.glob("text-*"))) == 4
    assert all((tmp_path / name).stat().st_mtime_ns == time for name, time in made.items())
    with pytest.raises(StorageError, match="another plan"):
        run_oracle_decode(target, profile, 4, (5,), 6, tmp_path)
