"""Log-probabilities recorded in a user's own `model.generate` are those of what it sampled."""

import pytest
import torch
from transformers import LogitsProcessorList

from speclight.errors import InvalidInput
from speclight.measure.log_prob_recorder import LogProbRecorder
from toys import tiny_llama

# A cached and a whole pass in float32 differ by some 1e-5 on weights this large.
SAME_NATS = 1e-4


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_recorded_log_probs(temperature: float) -> None:
    model = tiny_llama(vocabulary_size=7, seed=3)
    recorder = LogProbRecorder((6,), temperature)
    prompts = torch.tensor([[1, 2, 3], [4, 5, 1]])
    torch.manual_seed(1)
    output = model.generate(
        prompts,
        do_sample=True,
        temperature=temperature,
        top_k=0,
        max_new_tokens=12,
        eos_token_id=6,
        pad_token_id=0,
        logits_processor=LogitsProcessorList([recorder]),
    )
    texts = recorder.texts(output, ["a", "b"])
    assert [text.prompt_id for text in texts] == ["a", "b"]
    for row, text in zip(output, texts, strict=True):
        with torch.inference_mode():
            logits = model(row[None]).logits[0].double() / temperature
        laws = torch.log_softmax(logits, -1)
        expected = [-float(laws[2 + place, row[3 + place]]) for place in range(len(text))]
        assert text.surprisals.tolist() == pytest.approx(expected, abs=SAME_NATS)
        assert text.ended == (6 in row[3:].tolist())
    with pytest.raises(InvalidInput, match="saw 0 tokens"):
        recorder.texts(output)


def test_greedy_has_no_entropy() -> None:
    with pytest.raises(InvalidInput):
        LogProbRecorder((), 0.0)
