"""Damaged records: a flipped bit is harmless or told, the plan survives, two runs notice each other."""

import json
import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from cases import thinned
from speclight.errors import StorageError
from speclight.measure.checksums import SUMS_NAME
from speclight.measure.store import (
    LOCK_NAME,
    RecordFolder,
    read_arrays,
    read_plan,
    read_table,
    reading,
    recording,
    sole_writer,
    write_arrays,
)
from speclight.writing import write_whole

PLAN = {"kind": "toy", "seed": 0, "settings": {"node_budget": 16, "sampling": {"temperature": 1.0}}}
TABLE = pa.table(
    {"name": ["a", "b", "a"], "number": [0.25, 0.5, 0.75], "list": [[1], [2, 3], []]}
).replace_schema_metadata({"reach_nats": "8.0"})
FLIPS, MANY_FLIPS = 60, 1000


@pytest.fixture
def folder(tmp_path):
    records = RecordFolder(tmp_path, PLAN)
    records.write("unit", TABLE)
    write_arrays(tmp_path, "arrays", {"tokens": np.arange(40.0)})
    return tmp_path


def everything(folder):
    table = read_table(folder, "unit")
    arrays = read_arrays(folder, "arrays", ["tokens"])
    with reading(folder, "toy") as plan:
        return table.to_pydict(), table.schema.metadata, arrays["tokens"].tolist(), plan


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


RECORDED = ["unit.parquet", "arrays.npz", "plan.json", SUMS_NAME]


@pytest.mark.parametrize("flips", thinned([FLIPS, MANY_FLIPS]))
@pytest.mark.parametrize("name", RECORDED)
def test_no_flipped_bit_is_silent_or_raw(folder, name, flips):
    """Any error but StorageError would pass through here; sampled places over the whole file."""
    whole, content = everything(folder), (folder / name).read_bytes()
    bits = 8 * len(content)
    told = 0
    for bit in random.Random(0).sample(range(bits), min(flips, bits)):
        (folder / name).write_bytes(flipped(content, bit))
        try:
            assert everything(folder) == whole
        except StorageError:
            told += 1
    assert told > 0


@pytest.mark.parametrize("step", thinned([29, 3]))
def test_page_checksums_alone_tell_damaged_pages(folder, step):
    """As in a file that was copied out of its folder: what its pages hold is checked, its footer is not."""
    (folder / SUMS_NAME).unlink()
    content = (folder / "unit.parquet").read_bytes()
    whole = read_table(folder, "unit").to_pydict()
    footer = int.from_bytes(content[-8:-4], "little") + 8
    for bit in range(8 * 4, 8 * (len(content) - footer), step):
        (folder / "unit.parquet").write_bytes(flipped(content, bit))
        try:
            assert read_table(folder, "unit").to_pydict() == whole
        except StorageError:
            continue


def test_records_without_checksums_are_read(folder):
    whole = everything(folder)
    (folder / SUMS_NAME).unlink()
    assert everything(folder) == whole


def test_checksums_are_those_of_sha256sum(folder):
    done = subprocess.run(
        ["sha256sum", "-c", SUMS_NAME], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["arrays.npz: OK", "plan.json: OK", "unit.parquet: OK"]


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b"null", b"3", b'"plan"', b"{", b"", b"\xff", b'{"kind": 3}']
)
@pytest.mark.parametrize("checksums", [True, False])
def test_a_malformed_plan_is_told_and_written_anew(folder, content, checksums):
    if not checksums:
        (folder / SUMS_NAME).unlink()
    (folder / "plan.json").write_bytes(content)
    with pytest.raises(StorageError, match=r"plan\.json") as told:
        read_plan(folder)
    assert "delete" not in str(told.value)
    if checksums:
        RecordFolder(folder, PLAN)
        assert read_plan(folder) == PLAN
    (folder / "plan.json").write_bytes(content)
    # Another plan never takes such records over; without checksums nothing shows whose they are.
    with pytest.raises(StorageError, match="damaged") as told:
        RecordFolder(folder, {**PLAN, "seed": 1} if checksums else PLAN)
    assert "delete" not in str(told.value)


def test_another_plan_says_which_settings_differ(folder):
    other = json.loads(json.dumps(PLAN))
    other["settings"]["sampling"] = {"temperature": 0.5, "top_k": 3}
    with pytest.raises(StorageError) as told:
        RecordFolder(folder, other)
    assert "settings.sampling.temperature: 1.0 there, 0.5 asked for" in str(told.value)
    assert "settings.sampling.top_k: nothing there, 3 asked for" in str(told.value)
    assert "seed" not in str(told.value)


def test_a_plan_of_another_kind_or_form_is_told(folder):
    with pytest.raises(StorageError, match="kind 'toy', expected 'profile'"), reading(folder, "profile"):
        pass
    with pytest.raises(StorageError, match="not in the form"), reading(folder, "toy") as plan:
        plan["batches"]


def test_two_runs_in_one_folder_notice_each_other(tmp_path):
    holding = (
        "import sys, pathlib\n"
        "from speclight.measure.store import sole_writer\n"
        "with sole_writer(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", holding, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StorageError, match="another run"), recording(tmp_path, PLAN):
            pass
        assert not (tmp_path / "plan.json").exists()
        other.kill()
        other.wait()
        # The lock of a killed run is gone with it, whatever file it left.
        assert (tmp_path / LOCK_NAME).exists()
        with recording(tmp_path, PLAN) as records:
            records.write("unit", TABLE)


def test_one_process_is_no_exception(tmp_path):
    with sole_writer(tmp_path), pytest.raises(StorageError, match="another run"), sole_writer(tmp_path):
        pass
    with sole_writer(tmp_path):
        pass


def test_a_unit_that_is_gone_is_missed(folder):
    records = RecordFolder(folder, PLAN)
    (folder / "unit.parquet").unlink()
    assert records.lacks("unit")
    assert not records.lacks("never written")
    write_whole(folder / "unit.parquet", b"")
    assert not records.lacks("unit")
