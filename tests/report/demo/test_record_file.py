"""report.json: whole, valid JSON, and the same record when read back."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from math import inf, isnan, nan
from pathlib import Path

import pytest

from report.demo.synthetic_record import synthetic_record
from speclight.errors import StorageError
from speclight.report.demo.record_file import read_json, write_json


def no_constant(name: str):
    raise AssertionError(f"{name} is no JSON")


def test_a_record_reads_back_equal(tmp_path):
    record = synthetic_record()
    assert read_json(write_json(record, tmp_path / "new" / "report.json")) == record


def test_nan_and_infinity_become_null(tmp_path):
    record = synthetic_record()
    share, speed_up = record.headline.share_of_limit, record.headline.speed_up
    endless = replace(speed_up, estimate=replace(speed_up.estimate, value=inf))
    headline = replace(record.headline, share_of_limit=replace(share, value=nan), speed_up=endless)
    odd = replace(record, headline=headline)
    path = write_json(odd, tmp_path / "report.json")
    content = json.loads(path.read_text(), parse_constant=no_constant)
    assert content["schema"] == 6
    assert content["headline"]["share_of_limit"]["value"] is None
    assert content["headline"]["speed_up"]["estimate"]["value"] is None
    assert isnan(read_json(path).headline.share_of_limit.value)


def test_none_stays_none(tmp_path):
    record = synthetic_record()
    path = write_json(
        replace(record, provenance=replace(record.provenance, weights_sha256=None)), tmp_path / "r.json"
    )
    assert read_json(path).provenance.weights_sha256 is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(schema=1), "schema 1, expected 6; measure again"),
        (lambda content: content["headline"].pop("starts"), "lacks starts"),
        (lambda content: content["headline"].update(starts="many"), "starts holds str"),
        (lambda content: content["limits"][0]["curves"][0].update(side="left"), "side is 'left'"),
        (lambda content: content["headline"]["speed_up"].update(verdict="fast"), "verdict is 'fast'"),
        (lambda content: content.update(limits={}), "limits holds dict"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, change, message):
    path = write_json(synthetic_record(("code",)), tmp_path / "report.json")
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(StorageError, match=message):
        read_json(path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]"])
def test_what_is_no_record_is_named(tmp_path, content):
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"report\.json"):
        read_json(path)


def test_a_missing_record_says_what_to_run(tmp_path):
    with pytest.raises(StorageError, match="speclight demo"):
        read_json(tmp_path / "report.json")


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = write_json(synthetic_record(("code",)), tmp_path / "report.json")
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_json(synthetic_record(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
