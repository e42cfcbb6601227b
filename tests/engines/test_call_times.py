"""Curves out of engines' own files: the numbers as they stand there, and no guess where one is missing."""

from __future__ import annotations

import json

import pytest

from speclight.engines.call_times import read_call_times, record_call_times
from speclight.errors import InvalidInput
from speclight.measure.latency.record import read_latency


def lines(path, *documents):
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def sglang(batch_size, steps, topk, draft_tokens, step_time):
    return {
        "batch_size": batch_size,
        "steps": steps,
        "topk": topk,
        "num_draft_tokens": draft_tokens,
        "acc_length": 2.1,
        "step_time": step_time,
        "speed": 100.0,
        "completion_tokens": 512.0,
    }


def llama(pp, pl, t_tg, tg=32):
    return {
        "n_kv_max": 4096,
        "n_batch": 2048,
        "n_ubatch": 512,
        "flash_attn": -1,
        "is_pp_shared": 0,
        "n_gpu_layers": 99,
        "n_threads": 8,
        "n_threads_batch": 8,
        "pp": pp,
        "tg": tg,
        "pl": pl,
        "n_kv": pl * (pp + tg),
        "t_pp": 0.1,
        "speed_pp": 1000.0,
        "t_tg": t_tg,
        "speed_tg": pl * tg / t_tg,
        "t": 0.1 + t_tg,
        "speed": 1.0,
    }


def vllm(concurrency, itl_ms, drafts=0, drafted=0):
    found = {
        "model_id": "a-model",
        "completed": 10,
        "total_input_tokens": 1000,
        "total_output_tokens": 600,
        "max_concurrency": concurrency,
        "median_itl_ms": itl_ms,
        "mean_itl_ms": 1e9,
    }
    if drafts:
        found |= {"spec_decode_num_drafts": drafts, "spec_decode_draft_tokens": drafted}
    return found


def test_sglang_steps_by_batch_the_fastest_of_one_size(tmp_path):
    path = lines(
        tmp_path / "output.jsonl",
        sglang(1, 0, 0, 0, 0.008),
        sglang(1, 3, 1, 4, 0.011),
        sglang(1, 3, 4, 4, 0.010),
        sglang(1, 5, 4, 16, 0.013),
        sglang(8, 0, 0, 0, 0.009),
        sglang(8, 3, 1, 4, 0.014),
    )
    found = read_call_times([path])
    one, eight = found.curves
    assert (one.batch_size, one.nodes.tolist(), one.medians.tolist()) == (
        1,
        [1, 4, 16],
        [[0.008, 0.010, 0.013]],
    )
    assert (eight.batch_size, eight.nodes.tolist()) == (8, [1, 4])
    assert "drafting included" in found.cautions[0]


def test_llama_sequences_are_nodes_and_other_lines_are_passed_over(tmp_path):
    path = lines(
        tmp_path / "bench.txt",
        *(llama(pp, pl, 0.32 * pl * (1 + pp / 1024)) for pp in (128, 1024) for pl in (1, 2, 8)),
    )
    path.write_text(f"main: n_kv_max = 4096\n\n{path.read_text()}\nllama_perf_context_print: load time\n")
    (curve,) = read_call_times([path]).curves
    assert curve.context_tokens.tolist() == [128 + 16, 1024 + 16]
    assert curve.seconds(8, 144) == pytest.approx(0.01 * 8 * (1 + 128 / 1024))


def test_vllm_runs_are_put_together_by_drafted_tokens(tmp_path):
    paths = [
        lines(tmp_path / "plain.json", vllm(4, 10.0)),
        lines(tmp_path / "three.json", vllm(4, 12.5, drafts=200, drafted=600)),
        lines(tmp_path / "again.json", vllm(4, 13.5, drafts=200, drafted=600)),
    ]
    found = read_call_times(paths)
    (curve,) = found.curves
    assert (found.target, curve.batch_size, curve.nodes.tolist()) == ("a-model", 4, [1, 4])
    assert curve.context_tokens.tolist() == [130]
    assert curve.medians.tolist() == [[0.010, pytest.approx(0.013)]]


def test_a_record_is_made_of_them_and_read_like_any_other(tmp_path):
    path = lines(
        tmp_path / "output.jsonl", *(sglang(b, 0, 0, 0, 0.01) for b in (1, 2)), sglang(1, 3, 1, 4, 0.02)
    )
    record_call_times([path], tmp_path / "latency")
    record = record_call_times([path], tmp_path / "latency")
    assert record.cautions == read_latency(tmp_path / "latency").cautions != ()
    assert [curve.nodes.tolist() for curve in record.curves] == [[1, 4], [1]]
    assert record.ceilings is record.work is record.load is None
    assert record.curve.seconds(4) == 0.02
    with pytest.raises(InvalidInput, match="expected 1 to 4"):
        record.curve.seconds(8)


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        ([sglang(1, 3, 1, 4, 0.01)], "begin at 4 nodes, expected 1 too.*0 draft tokens"),
        ([llama(128, 1, 1.0), llama(128, 2, 1.0), llama(512, 1, 1.0)], "leave out 2 nodes after 528 tokens"),
        ([vllm(None, 10.0)], "max_concurrency is null"),
        ([sglang(1, 0, 0, 0, 0.0)], "finite seconds > 0"),
        ([sglang(1, 0, 0, 0, None)], "expected numbers as it writes them"),
        ([llama(128, 1, 1.0, tg=0)], "expected numbers as it writes them"),
        ([{"question_id": 1}], "keys question_id, expected a result of"),
        ([sglang(1, 0, 0, 0, 0.01), llama(128, 1, 1.0)], "and of another benchmark"),
    ],
)
def test_what_is_missing_or_strange_is_told(tmp_path, documents, told):
    with pytest.raises(InvalidInput, match=told):
        read_call_times([lines(tmp_path / "bench.jsonl", *documents)])


def test_a_file_that_was_cut_is_told_with_its_line(tmp_path):
    path = lines(tmp_path / "output.jsonl", sglang(1, 0, 0, 0, 0.01), sglang(1, 3, 1, 4, 0.01))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(InvalidInput, match=r"line 2 of output.jsonl is no JSON .* may have been cut"):
        read_call_times([path])


@pytest.mark.parametrize("content", ["", "| PP | TG | B |\n", "[1, 2]"])
def test_a_file_without_objects_is_told(tmp_path, content):
    path = tmp_path / "table.md"
    path.write_text(content)
    with pytest.raises(InvalidInput, match="holds no JSON objects"):
        read_call_times([path])
    with pytest.raises(InvalidInput, match="cannot read"):
        read_call_times([tmp_path / "nothing.jsonl"])
