"""Every kind of file that engines write, read; sources of one run agree."""

import json
from pathlib import Path

import pytest

from speclight.engines.completion import SpeculationSteps
from speclight.engines.reports.prometheus import read_metrics
from speclight.engines.reports.read import read_report
from speclight.engines.reports.record import SpeculationCounts, counts_of_steps
from speclight.errors import InvalidInput

DATA = Path(__file__).parent / "data"


def only(name: str, before: str | None = None):
    reports = read_report(DATA / name, None if before is None else DATA / before)
    assert len(reports) == 1
    return reports[0]


def written(tmp_path: Path, content: str, name: str = "file.json") -> Path:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_metrics_and_log_of_one_server_agree() -> None:
    metrics = only("vllm/metrics_after.prom", "vllm/metrics_before.prom").counts
    log = only("vllm/server_log_specdecoding.txt").counts
    assert metrics is not None
    assert log is not None
    assert (metrics.drafts, metrics.drafted, metrics.accepted) == (58, 230, 10)
    assert (log.drafts, log.drafted, log.accepted, log.accepted_at) == (58, 230, 10, metrics.accepted_at)
    assert metrics.tokens_per_draft == pytest.approx(1 + 10 / 58)
    # Steps without a draft emit one token each: 146 tokens in 136 steps.
    assert metrics.tokens_per_step == pytest.approx(146 / 136)
    assert metrics.survival == pytest.approx((8 / 58, 2 / 58, 0, 0))
    assert metrics.conditional_acceptance == (8 / 58, 2 / 8, 0.0, None)


def test_requests_and_their_steps() -> None:
    counts = only("vllm/chat_logprobs.json").counts
    assert counts is not None
    assert (counts.drafts, counts.drafted, counts.accepted, counts.generated) == (33, 131, 7, 48)
    stated = json.loads((DATA / "vllm/chat_logprobs.json").read_text())["metrics"]["speculative_decoding"]
    assert counts.tokens_per_draft == pytest.approx(stated["mean_acceptance_length"])
    assert counts.drafted is not None
    assert counts.accepted / counts.drafted == pytest.approx(stated["draft_acceptance_rate"])
    offline = only("vllm/offline_spec_decode_metrics.txt").counts
    assert offline is not None
    assert (offline.drafts, offline.drafted, offline.accepted, offline.accepted_at) == (
        52,
        202,
        1,
        (1, 0, 0, 0),
    )


def test_llama_cpp_metrics_and_log_agree() -> None:
    metrics = only("llamacpp/ngram_metrics.prom").counts
    requests = read_report(DATA / "llamacpp/ngram_log.txt")
    total = requests[-1].counts
    assert metrics is not None
    assert total is not None
    assert (metrics.drafts, metrics.drafted, metrics.accepted) == (28, 119, 10)
    assert (total.drafts, total.drafted, total.accepted) == (28, 119, 10)
    assert requests[-1].stated == pytest.approx(total.tokens_per_draft, abs=0.005)
    assert [report.stated for report in requests[:-1]] == [2.0, 1.33]
    timing = only("llamacpp/ngram_completion_nprobs.json")
    assert timing.stated == pytest.approx(12 / 11)


VLLM_09 = (
    "INFO SpecDecoding metrics: Draft acceptance rate: 38.8%, Mean acceptance length: 2.16, Accepted: 150 "
    "tokens, "
    "Drafted: 387 tokens, Per-position acceptance rate: 0.612, 0.372, 0.178\n"
)
VLLM_0 = (
    "Speculative metrics: Draft acceptance rate: 0.655, System efficiency: 0.649, Number of speculative "
    "tokens: 4, "
    "Number of accepted tokens: 262, Number of draft tokens: 400, Number of emitted tokens: 324\n"
)
SGLANG = (
    "Decode batch, #running-req: 1, #token: 500, accept len: 2.55, accept rate: 0.64, cuda graph: True, "
    "gen throughput (token/s): 120.5, #queue-req: 0\n"
)
LLAMA_OLD = "draft acceptance rate = 0.57576 (  171 accepted /   297 generated)\n"


def test_older_log_lines(tmp_path: Path) -> None:
    (report,) = read_report(written(tmp_path, VLLM_09, "a.log"))
    assert report.counts is not None
    assert (report.counts.drafts, report.counts.accepted) == (129, 150)
    assert report.tokens_per_draft == pytest.approx(2.16, abs=0.005)
    (report,) = read_report(written(tmp_path, VLLM_0, "b.log"))
    assert report.counts is not None
    assert (report.counts.drafts, report.stated) == (100, 3.24)
    (report,) = read_report(written(tmp_path, SGLANG * 2, "c.log"))
    assert (report.stated, report.tokens_per_second) == (2.55, 120.5)
    (report,) = read_report(written(tmp_path, LLAMA_OLD, "d.log"))
    assert "171 of 297" in report.cautions[0]
    with pytest.raises(InvalidInput, match="no line"):
        read_report(written(tmp_path, "nothing here\n", "e.log"))


SGLANG_METRICS = """# TYPE sglang:spec_accept_length gauge
sglang:spec_accept_length{engine="0"} 2.9
# TYPE sglang:spec_verify_calls_total counter
sglang:spec_verify_calls_total{engine="0"} %d
# TYPE sglang:generation_tokens_total counter
sglang:generation_tokens_total{engine="0"} %d
"""


def test_sglang_counters_not_gauges() -> None:
    (report,) = read_metrics(SGLANG_METRICS % (300, 750), SGLANG_METRICS % (100, 250))
    assert report.counts is not None
    assert report.counts.tokens_per_draft == pytest.approx(500 / 200)
    assert report.stated == 2.9


def test_json_of_benchmarks_and_answers(tmp_path: Path) -> None:
    bench = {
        "spec_decode_num_drafts": 100,
        "spec_decode_draft_tokens": 300,
        "spec_decode_accepted_tokens": 150,
        "spec_decode_acceptance_length": 2.5,
        "spec_decode_per_position_acceptance_rates": [0.8, 0.5, 0.2],
        "total_output_tokens": 270,
        "output_throughput": 99.0,
    }
    (report,) = read_report(written(tmp_path, json.dumps(bench)))
    assert report.counts is not None
    assert (report.counts.accepted_at, report.tokens_per_draft) == ((80, 50, 20), 2.5)
    lines = [
        {
            "batch_size": 1,
            "steps": 3,
            "topk": 1,
            "num_draft_tokens": 4,
            "acc_length": 2.6,
            "step_time": 0.01,
            "speed": 260.0,
            "completion_tokens": 512,
        }
    ] * 2
    reports = read_report(written(tmp_path, "\n".join(map(json.dumps, lines)), "b.jsonl"))
    assert [(one.tokens_per_draft, one.step_seconds, one.label) for one in reports] == [
        (2.6, 0.01, "batch 1, steps 3, topk 1, P = 4")
    ] * 2
    meta = {
        "meta_info": {
            "spec_verify_ct": 10,
            "completion_tokens": 25,
            "spec_num_correct_drafts": 15,
            "spec_num_proposed_drafts": 30,
            "spec_accept_length": 2.5,
        }
    }
    (report,) = read_report(written(tmp_path, json.dumps(meta)))
    assert report.tokens_per_draft == pytest.approx(2.5)
    eagle = {
        "question_id": 81,
        "choices": [{"index": 0, "turns": ["x"], "idxs": [4], "new_tokens": [15], "wall_time": [1.0]}],
    }
    (report,) = read_report(written(tmp_path, json.dumps(eagle)))
    assert report.tokens_per_draft == pytest.approx(3.0)
    spec = {
        "question_id": 81,
        "choices": [
            {
                "index": 0,
                "turns": ["x"],
                "decoding_steps": [3],
                "new_tokens": [6],
                "wall_time": [1.0],
                "accept_lengths": [1, 2, 3],
            }
        ],
    }
    (report,) = read_report(written(tmp_path, json.dumps(spec)))
    assert report.counts is not None
    assert report.counts.accepted_at == (2, 1)
    golden = "Kimi-K3:\n  thinking_on:\n    1: 1.84\n    8: 3.88\n"
    reports = read_report(written(tmp_path, golden, "golden.yaml"))
    assert [one.tokens_per_draft for one in reports] == [1.84, 3.88]


@pytest.mark.parametrize(
    "content", ["{}", "[1, 2]", '{"a": 1}\n{"b"', "# HELP x\n# TYPE x counter\nx 1\n", ""]
)
def test_other_content_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InvalidInput):
        read_report(written(tmp_path, content, "x.json"))


def test_counts_that_contradict_each_other_are_refused() -> None:
    for bad in (
        {"drafts": 1, "accepted": 5, "drafted": 4},
        {"drafts": 3, "accepted": 4, "accepted_at": (2, 3)},
        {"drafts": 3, "accepted": 4, "accepted_at": (2, 1)},
        {"drafts": -1, "accepted": 0},
    ):
        with pytest.raises(InvalidInput):
            SpeculationCounts(**bad)
    with pytest.raises(InvalidInput, match="restart"):  # a counter that fell
        read_metrics(
            (DATA / "vllm/metrics_before.prom").read_text(), (DATA / "vllm/metrics_after.prom").read_text()
        )


def test_counts_of_single_steps() -> None:
    counts = counts_of_steps(SpeculationSteps((0, 2, 3, 1), (3, 3, 3, 1)), 11)
    assert (counts.drafts, counts.accepted, counts.drafted, counts.accepted_at) == (4, 6, 10, (3, 2, 1))
    low, high = counts.survival_interval(0)
    assert low < 0.75 < high
