"""Commands choose how threads wait by what else runs, only where the user has not chosen."""

import os
import subprocess
import sys

import pytest

from speclight.cli import threads
from speclight.cli.threads import SLEEP, SPIN, others_running, set_waiting, waiting_beside


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_user_set_is_left_alone(monkeypatch, name):
    monkeypatch.setattr(os, "environ", {name: "ACTIVE"})
    set_waiting()
    assert os.environ == {name: "ACTIVE"}


@pytest.mark.parametrize(
    ("others", "expected"),
    [(0, SPIN), (1, SLEEP), (7, SLEEP)],
)
def test_threads_sleep_beside_other_work_only(others, expected):
    assert waiting_beside(others) == expected


def test_the_choice_follows_what_runs_now(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(threads, "others_running", lambda: 1)
    set_waiting()
    assert os.environ == SLEEP


def test_the_median_of_what_runs_counts_without_this_process(monkeypatch, tmp_path):
    load = tmp_path / "loadavg"
    load.write_text("1.52 0.98 0.71 3/412 12345\n", encoding="ascii")
    monkeypatch.setattr(threads, "LOAD", load)
    assert others_running() == 2
    load.unlink()
    assert others_running() == 0


def test_a_busy_process_is_seen_where_the_system_tells():
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    ) as busy:
        busy.stdout.readline()
        seen = others_running()
        busy.kill()
    assert seen >= 1 if threads.LOAD.exists() else seen == 0
