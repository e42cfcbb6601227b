"""A run killed at any moment resumes to the same bytes; a full disk leaves nothing half-written."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

from speclight.errors import StorageError
from speclight.measure.store import RecordFolder, read_plan, read_table
from speclight.writing import write_whole

HERE = Path(__file__).parent
SCRIPT, TRACE_SCRIPT = HERE / "interrupted_run.py", HERE / "trace" / "interrupted_trace.py"
PAPERS_SCRIPT = HERE.parent / "experiments" / "papers" / "interrupted_reproduce.py"
WRITER = HERE / "interrupted_writer.py"
# Kills of one run. Runs of a model take a minute; the writer does nothing but write.
KILLS = [
    (WRITER, 3),
    pytest.param(SCRIPT, 5, marks=pytest.mark.slow),
    pytest.param(TRACE_SCRIPT, 3, marks=pytest.mark.slow),
    pytest.param(PAPERS_SCRIPT, 3, marks=pytest.mark.slow),
]


def start(folder, script):
    """A run in a process of its own, returned once it has begun to work."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(script), str(folder)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    with process.stdout as lines:
        assert lines.readline() == "started\n"
    return process


def contents(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def files_of(folder):
    return sum(path.suffix == ".parquet" for path in folder.rglob("*"))


def kill_after(process, folder, new_files, delay):
    """Kill the run a moment after it has written so many more files; whether it was still at work."""
    enough = files_of(folder) + new_files
    while files_of(folder) < enough and process.poll() is None:
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(("script", "kills"), KILLS)
def test_a_run_killed_at_random_moments_resumes_to_equal_bytes(tmp_path, script, kills):
    assert start(tmp_path / "whole", script).wait() == 0
    whole = contents(tmp_path / "whole")
    # Moments are counted in files, so that neither a fast nor a busy machine lets a run end before its kill:
    # the kills leave at least a third of the work to be done after the last.
    most = files_of(tmp_path / "whole") * 2 // (3 * kills)
    assert most >= 4
    moments = random.Random(0)
    interrupted = 0
    for _ in range(kills):
        process = start(tmp_path / "killed", script)
        interrupted += kill_after(
            process, tmp_path / "killed", moments.randint(0, most - 1), moments.uniform(0.0, 0.01)
        )
    assert interrupted == kills  # otherwise nothing was tested
    assert start(tmp_path / "killed", script).wait() == 0
    assert contents(tmp_path / "killed") == whole


def test_another_plan_is_refused(tmp_path):
    RecordFolder(tmp_path, {"kind": "toy", "seed": 0})
    RecordFolder(tmp_path, {"kind": "toy", "seed": 0})
    with pytest.raises(StorageError, match="seed"):
        RecordFolder(tmp_path, {"kind": "toy", "seed": 1})


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    records = RecordFolder(tmp_path, {"kind": "toy"})
    records.write("unit", pa.table({"x": [1]}))

    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(StorageError, match=r"No space left on device.*free some space"):
        records.write("unit", pa.table({"x": [2]}))
    with pytest.raises(StorageError):
        records.write("other", pa.table({"x": [3]}))
    assert not records.has("other")
    assert read_table(tmp_path, "unit").to_pydict() == {"x": [1]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "plan.json", "unit.parquet"]


def test_what_a_killed_write_left_behind_is_removed(tmp_path):
    RecordFolder(tmp_path, {"kind": "toy"})
    (tmp_path / ".partial-abc").write_bytes(b"half")
    RecordFolder(tmp_path, {"kind": "toy"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "plan.json"]


def test_damaged_and_missing_records_are_named(tmp_path):
    with pytest.raises(StorageError, match=r"plan\.json"):
        read_plan(tmp_path)
    write_whole(tmp_path / "plan.json", b"{")
    with pytest.raises(StorageError, match="damaged"):
        read_plan(tmp_path)
    write_whole(tmp_path / "unit.parquet", b"no parquet")
    with pytest.raises(StorageError, match=r"unit\.parquet"):
        read_table(tmp_path, "unit")
    with pytest.raises(StorageError, match=r"other\.parquet"):
        read_table(tmp_path, "other")
