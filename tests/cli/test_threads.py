"""Commands choose how threads wait only where the user has not."""

import os

import pytest

from speclight.cli.threads import WAITING, set_waiting


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_user_set_is_left_alone(monkeypatch, name):
    for other in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "ACTIVE")
    set_waiting()
    assert os.environ[name] == "ACTIVE"
    assert not (WAITING.keys() - {name}) & os.environ.keys()


def test_otherwise_they_spin_a_while(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    set_waiting()
    assert os.environ == WAITING
