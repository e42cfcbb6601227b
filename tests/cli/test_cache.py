import json
from pathlib import Path

import pytest

from speclight.cli.main import main
from speclight.models.cache_folder import MODELS_FOLDER, WEIGHTS_NAME, file_sha256, write_manifest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECLIGHT_CACHE", str(tmp_path))
    return tmp_path / MODELS_FOLDER


def convert(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / WEIGHTS_NAME).write_bytes(b"weights" * 1000)
    write_manifest(folder, "tiny model", "ab" * 32)


def test_an_empty_cache_is_no_error(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"{cache}: empty\n"
    assert not cache.exists()


def test_json_lists_what_is_there(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(cache / "tiny")
    assert main(["cache", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    size_bytes = sum(path.stat().st_size for path in (cache / "tiny").iterdir())
    assert document == {
        "schema": 2,
        "folder": cache.as_posix(),
        "entries": [
            {
                "model_name": "tiny model",
                "folder": "tiny",
                "size_bytes": size_bytes,
                "weights_sha256": file_sha256(cache / "tiny" / WEIGHTS_NAME),
                "source_sha256": "ab" * 32,
            }
        ],
        "freed_bytes": None,
    }


def test_table_shows_finished_and_interrupted_conversions(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(cache / "tiny")
    (cache / ".partial-other").mkdir()
    assert main(["cache"]) == 0
    out = capsys.readouterr().out
    assert "tiny model" in out
    assert "interrupted conversion" in out


def test_clear_deletes_the_models_and_nothing_else(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(cache / "tiny")
    size_bytes = sum(path.stat().st_size for path in (cache / "tiny").iterdir())
    other = cache.parent / "notes.txt"
    other.write_text("mine", encoding="utf-8")
    assert main(["cache", "clear", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["freed_bytes"] == size_bytes
    assert document["entries"] == []
    assert not (cache / "tiny").exists()
    assert other.read_text(encoding="utf-8") == "mine"
