"""Whether an endpoint's losslessness is judged rightly: on synthetic laws, on real outputs of two servers,
live.

False alarms: each single test has 1e-3. Power is asserted where the test itself states 0.99 or more.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from engines.fake_server import Behaviour, fake_server
from speclight.cli.main import main
from speclight.engines.client import EngineClient, EngineSettings
from speclight.engines.completion import CompletionRequest, EngineText, LikelyToken, SpeculationSteps
from speclight.engines.greedy import greedy_test, reference_gaps, stated_gaps
from speclight.engines.losslessness import CellLaw, cell_laws, full_law, law_test, slots
from speclight.engines.text_files import read_texts
from speclight.engines.verdict import engine_verdict, sample_from_server
from speclight.errors import InvalidInput
from speclight.measure.prompts import Prompt

DATA = Path(__file__).parent / "data"


def random_laws(rng: np.random.Generator, count: int, cells: int = 12) -> np.ndarray:
    return rng.dirichlet(np.full(cells, 0.3), count)


def drawn(rng: np.random.Generator, laws: np.ndarray) -> list[CellLaw]:
    cells = (laws.cumsum(axis=1) < rng.random((len(laws), 1))).sum(axis=1)
    return [CellLaw(law, min(int(cell), len(law) - 1)) for law, cell in zip(laws, cells, strict=True)]


def test_lossless_samples_pass_as_often_as_stated() -> None:
    """At most 4 of 200 fail (expected 0.2), and between 0 and 10% of p-values lie below 0.05: both with
    0.999.
    """
    rng = np.random.default_rng(0)
    tests = [law_test(drawn(rng, random_laws(rng, 150))) for _ in range(200)]
    assert sum(not test.is_passed for test in tests) <= 4
    assert np.mean([test.p_value < 0.05 for test in tests]) <= 0.10


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_tokens_of_another_law_are_found(share: float) -> None:
    """Replaced by uniform ones with this share: shifts of 0.9 and more nats, several times what is
    detectable.
    """
    rng = np.random.default_rng(2)
    laws = random_laws(rng, 300)
    lossless = law_test(drawn(rng, laws))
    found = [
        CellLaw(law, int(rng.integers(12)) if rng.random() < share else int(rng.choice(12, p=law)))
        for law in laws
    ]
    assert not law_test(found).is_passed
    assert law_test(found).mean_surprisal - lossless.mean_entropy > lossless.detectable_nats


def test_a_shift_without_surprisal_is_found_by_ranks() -> None:
    """A sampler that swaps equally likely tokens changes no surprisal; the counts by rank show it."""
    law = np.array([0.3, 0.3, 0.4])
    rng = np.random.default_rng(3)
    cells = [CellLaw(law, 0 if cell == 1 else cell) for cell in rng.choice(3, 400, p=law)]
    test = law_test(cells)
    assert abs(test.surprisal_z) < 3.0
    assert not test.is_passed


def test_chi_square_is_that_of_a_table_for_one_law() -> None:
    law = np.array([0.5, 0.3, 0.2])
    counts = np.array([60, 20, 20])
    cells = [CellLaw(law, cell) for cell, count in enumerate(counts) for _ in range(count)]
    expected = ((counts - 100 * law) ** 2 / (100 * law)).sum()
    assert law_test(cells).chi_square == pytest.approx(expected)
    assert law_test(cells).degrees == 2


def test_laws_from_likeliest_tokens() -> None:
    top = (LikelyToken(7, float(np.log(0.6))), LikelyToken(3, float(np.log(0.3))))
    text = EngineText((3, 9), np.log([0.3, 0.05]), (top, top), False)
    first, second = cell_laws(text)
    np.testing.assert_allclose(first.probabilities, [0.6, 0.3, 0.1], atol=1e-12)
    assert (first.cell, second.cell) == (1, 2)
    with pytest.raises(InvalidInput, match="no law"):
        cell_laws(EngineText((3,), np.log([0.3]), ((),), False))


def test_a_reference_law_knows_the_moments_of_tokens() -> None:
    law = np.array([0.7, 0.1, 0.1, 0.1])
    found = full_law(law, 3, cells=1)
    np.testing.assert_allclose(found.probabilities, [0.7, 0.3])
    assert found.of_tokens is not None
    assert found.of_tokens.surprisal == pytest.approx(-np.log(0.1))
    assert found.of_tokens.entropy == pytest.approx(-(0.7 * np.log(0.7) + 0.3 * np.log(0.1)))


def test_slots_of_tokens() -> None:
    steps = SpeculationSteps((2, 0), (3, 3))
    text = EngineText((0,) * 5, np.zeros(5), ((),) * 5, False, steps=steps)
    assert slots(text) == [
        "the prompt's pass",
        "token 1 of a step",
        "token 2 of a step",
        "token 3 of a step",
        "token 1 of a step",
    ]
    longer = EngineText((0,) * 9, np.zeros(9), ((),) * 9, False, steps=steps)
    assert slots(longer) is None  # steps without a draft lie somewhere in between


def speculated(rng: np.random.Generator, tokens: int, lossy_slot: int | None) -> EngineText:
    """A text of chains of 3 drafts, the likeliest tokens: drawn from the laws, accepted if it is the draft.

    lossy_slot: the place in a step whose token is another one, uniform, half the time.
    """
    laws = random_laws(rng, tokens, cells=6)
    sampled: list[int] = []
    accepted: list[int] = []
    place = 0
    for number, law in enumerate(laws):
        token = int(rng.choice(6, p=law))
        if number:
            place += 1
            if place == lossy_slot and rng.random() < 0.5:
                token = int(rng.integers(6))
            if place == 4 or token != int(law.argmax()) or number == tokens - 1:
                accepted.append(place - 1)
                place = 0
        sampled.append(token)
    tops = tuple(
        tuple(LikelyToken(int(one), float(np.log(law[one]))) for one in np.argsort(-law)) for law in laws
    )
    log_probs = np.log(laws[np.arange(tokens), sampled])
    steps = SpeculationSteps(tuple(accepted), (3,) * len(accepted))
    return EngineText(tuple(sampled), log_probs, tops, False, steps=steps)


@pytest.mark.parametrize("lossy_slot", [None, 2])
def test_each_place_of_a_step_is_tested_by_itself(lossy_slot: int | None) -> None:
    """Places of lossless speculation pass, although accepted tokens by themselves are all likeliest ones.

    Four tests at 1e-3 each. Of 1500 tokens some 300 stand at place 2; half of them being uniform shifts their
    surprisal by 1.5 nats, several times what is detectable.
    """
    verdict = engine_verdict([((), speculated(np.random.default_rng(11), 1500, lossy_slot))])
    failed = [name for name, test in verdict.by_slot.items() if not test.is_passed]
    assert failed == ([] if lossy_slot is None else ["token 2 of a step"])
    assert list(verdict.by_slot) == [f"token {place} of a step" for place in (1, 2, 3, 4)]


def test_greedy_tokens_are_likeliest_ones() -> None:
    tops = tuple((LikelyToken(4, np.log(best)), LikelyToken(2, np.log(0.3))) for best in (0.6, 0.3, 0.6))
    text = EngineText((4, 2, 2), np.log([0.6, 0.3, 0.3]), tops, False)
    found = greedy_test(stated_gaps(text), 1e-3)
    assert (found.tokens, found.others, found.is_passed) == (3, 1, False)
    assert found.largest_gap_nats == pytest.approx(np.log(2))
    law = np.array([0.1, 0.3, 0.6])
    np.testing.assert_allclose(
        reference_gaps([full_law(law, 2), full_law(law, 0, cells=1)]), [0.0, np.log(6)], atol=1e-12
    )
    with pytest.raises(InvalidInput, match="exactly 0"):
        stated_gaps(EngineText((4,), np.array([np.nan]), ((),), False))


@pytest.mark.parametrize("lossy", [False, True])
def test_greedy_decoding_of_a_server(lossy: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with fake_server(Behaviour(lossy=lossy)) as url:
        arguments = ["verify", "--engine", url, "--temperature", "0", "--top", "3", "--engine-tokens", "300"]
        if lossy:
            with pytest.raises(SystemExit):
                main(arguments)
        else:
            assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "greedy text: " in printed
    assert ("greedy text: 0 of" in printed) == (not lossy)


PROMPTS = (Prompt("qa-1", "qa", ("one two three",)), Prompt("qa-2", "qa", ("a bc def ghij",)))


@pytest.mark.parametrize("lossy", [False, True])
def test_a_served_model_is_judged_from_its_own_words(lossy: bool) -> None:
    with fake_server(Behaviour(lossy=lossy)) as url, EngineClient(EngineSettings((url,))) as client:
        texts = sample_from_server(client, PROMPTS, 2000, 6, 1.0, seed=5)
    verdict = engine_verdict(texts)
    assert verdict.whole.is_passed == (not lossy)
    assert verdict.detectable_at_500_nats < 0.5


@pytest.mark.slow
def test_the_tokens_of_two_real_servers(capsys: pytest.CaptureFixture[str]) -> None:
    """The default target behind a CPU build of vLLM 0.32, plain and with n-gram speculation at temperature
    1.
    """
    arguments = ["verify", "--reference", "default", "--kernels", "fast", "--json", "--texts"]
    assert main([*arguments, str(DATA / "vllm/cpu_plain_T1_tokens.json")]) == 0
    plain = json.loads(capsys.readouterr().out)
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, str(DATA / "vllm/cpu_ngram_T1_lossy_tokens.json")])
    lossy = json.loads(capsys.readouterr().out)
    assert stopped.value.code == 1
    assert (plain["verdict"], lossy["verdict"]) == ("no fault found", "not lossless")
    assert plain["whole"]["surprisal_z"] == pytest.approx(0.40, abs=0.01)
    assert lossy["whole"]["surprisal_z"] == pytest.approx(15.3, abs=0.1)
    assert lossy["whole"]["mean_surprisal"] == pytest.approx(6.62, abs=0.005)
    assert lossy["whole"]["mean_entropy"] == pytest.approx(3.96, abs=0.005)
    # The served model is ours, in float32: log-probabilities of the same tokens agree to 1e-3.
    assert max(plain["largest_gap_nats"], lossy["largest_gap_nats"]) < 1e-3


def test_files_of_texts(tmp_path: Path) -> None:
    found = read_texts(DATA / "vllm/completions_n2.json")
    assert [len(text.tokens) for _, _, text in found] == [16, 16]
    assert found[0][1] == (504, 3575, 282, 4649, 314)
    (text,) = [text for _, _, text in read_texts(DATA / "vllm/completions_logprobs5_ids.json")]
    assert text.token_ids == (7042, 28, 3575, 9239, 17, 8109, 288, 260)
    assert text.log_probs[0] == pytest.approx(-0.2580628991127014)
    (echoed,) = [text for _, _, text in read_texts(DATA / "vllm/completions_echo.json")]
    assert len(echoed.tokens) == 5  # the first token of the prompt has no law
    (chat,) = [text for _, _, text in read_texts(DATA / "vllm/chat_logprobs.json")]
    assert chat.tokens[:2] == (33, 28)
    assert chat.steps is not None
    (drafted,) = [text for _, _, text in read_texts(DATA / "llamacpp/plain_completion_nprobs.json")]
    assert drafted.token_ids == (260, 3575, 282, 933, 16664, 33, 77, 284, 260, 3575, 282, 933)
    (processed,) = [text for _, _, text in read_texts(DATA / "llamacpp/plain_completion_post_sampling.json")]
    assert processed.log_probs[0] == pytest.approx(np.log(0.9553102254867554))
    for content in ("", "[1]", "{", '{"a": 1}', '{"tokens": [1], "lp": []}'):
        path = tmp_path / "texts.json"
        path.write_text(content)
        with pytest.raises(InvalidInput):
            read_texts(path)


def test_top_cells_are_needed_or_a_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--texts", str(DATA / "vllm/cpu_plain_T1_tokens.json")]) == 2
    assert "reference" in capsys.readouterr().err
    assert CompletionRequest((1,), 1).token_ids == (1,)


def test_power_is_stated(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_server(Behaviour()) as url:
        assert main(["verify", "--engine", url, "--top", "6", "--engine-tokens", "600"]) == 0
    assert "power at 500 tokens of such text: a shift of the mean surprisal by 0." in capsys.readouterr().out
