"""At the edges of a command: what stdout, stderr, the command line and the disk may be."""

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
from itertools import product

import pytest

from cases import thinned
from speclight.cli import main as cli
from speclight.cli import options
from speclight.cli.output import command_output
from speclight.errors import StorageError
from speclight.models.cache_folder import CACHE_VARIABLE, conversion_folder
from speclight.models.default_target import GGUF_SHA256

MODULE = [sys.executable, "-m", "speclight"]
BOUND = ["bound", "--mu", "1.5", "--mu2", "4", "--budget", "8"]


def run(arguments, **environment):
    return subprocess.run(
        [*MODULE, *arguments], capture_output=True, env={**os.environ, **environment}, check=False
    )


@pytest.fixture
def command(bound_does):
    def run(function):
        bound_does(function)
        return cli.main(["bound"])

    return run


@pytest.mark.parametrize(
    ("locale", "flag"),
    thinned(
        [
            ("C", b"--prompt"),
            ("C.UTF-8", b"--target"),
            *product(["C", "C.UTF-8"], [b"--prompt", b"--target", b"--drafter"]),
        ],
        2,
    ),
)
def test_bytes_that_are_no_text_are_refused_by_their_place(flag, locale):
    done = run([b"generate", b"--prompt", b"x", flag, b"a\xff\xfe"], LC_ALL=locale)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"speclight: error: the argument 'a\\udcff\\udcfe' holds the byte 0xff at")
    assert done.stderr.count(b"\n") == 1


def test_half_a_surrogate_pair_is_refused(capsys):
    assert cli.main(["generate", "--prompt", "a\ud800"]) == 2
    assert "half a surrogate pair at character 1" in capsys.readouterr().err


def test_any_encoding_of_stdout_gives_the_same_document(monkeypatch):
    def shown(arguments, encoding):
        written = io.BytesIO()
        monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding=encoding))
        assert cli.main(arguments) == 0
        sys.stdout.flush()
        return written.getvalue()

    plain = json.loads(shown([*BOUND, "--json"], "utf-8"))
    for encoding in ("ascii", "latin-1", "utf-16"):
        assert json.loads(shown([*BOUND, "--json"], encoding).decode(encoding)) == plain
    assert shown(BOUND, "ascii").isascii()
    done = run(BOUND, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])  # the second in the C locale
def test_characters_that_stdout_lacks_are_escaped(errors, monkeypatch, command):
    def show():
        with command_output(as_json=False) as output:
            output.stream("piece: \u4e2d\n")
            output.show("shown: \u4e2d\ud800")

    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii", errors=errors))
    assert command(show) == 0
    assert written.getvalue() == b"piece: \\u4e2d\nshown: \\u4e2d\\ud800\n"


@pytest.mark.parametrize(
    "arguments", thinned([["--version"], BOUND, ["--help"], ["bound", "--help"], [*BOUND, "--json"]], 2)
)
def test_a_full_stdout_is_said_by_every_way_of_writing(arguments):
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        done = subprocess.run([*MODULE, *arguments], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    said = b"stdout cannot be written (No space left on device); send it elsewhere or free some space"
    assert done.stderr == b"speclight: error: " + said + b"\n"


def test_a_full_stdout_is_said_where_the_command_exits_by_itself(monkeypatch, capsys, command):
    def faulty():
        sys.stdout.write("verdict: not lossless")
        raise SystemExit(1)

    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr("sys.stdout", full)
        assert command(faulty) == 2
    assert "stdout cannot be written" in capsys.readouterr().err


def test_other_errors_of_the_system_stay_bugs(command):
    def broken():
        raise FileNotFoundError(errno.ENOENT, "no such file", "x")

    def full_elsewhere():
        raise OSError(errno.ENOSPC, "no space", "a/file")

    for function in (broken, full_elsewhere):
        with pytest.raises(OSError, match="no s"):
            command(function)


@pytest.mark.parametrize("redirection", thinned(["2>&-", "2>/dev/full"]))
def test_no_stderr_is_no_bug(redirection):
    shell = f'"$0" -m speclight bound --mu 1 --mu2 1 --budget 8 {redirection}'
    done = subprocess.run(["/bin/sh", "-c", shell, sys.executable], stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(b"At P = 8")
    bad = f'"$0" -m speclight bound --mu 1 --budget 8 {redirection}'
    done = subprocess.run(["/bin/sh", "-c", bad, sys.executable], stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.fixture
def read_only_disk(monkeypatch):
    """What the system says of every folder, as it does to root too; os.access would say yes."""

    def refused(dir):
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr(options, "TemporaryFile", refused)


def test_trying_to_write_leaves_nothing(tmp_path):
    options.check_writable(tmp_path / "below" / "that")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("read_only_disk")
def test_a_folder_that_only_trying_shows_to_be_read_only_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"\(Read-only file system\); give another folder$"):
        options.check_writable(tmp_path / "below")


def test_a_cache_folder_that_cannot_be_written_is_told_before_a_conversion(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    assert cli.main(["generate", "--prompt", "x"]) == 2
    assert "set SPECLIGHT_CACHE to another folder" in capsys.readouterr().err
    options.check_cache("owner/model")  # nothing is converted


@pytest.mark.usefixtures("read_only_disk")
@pytest.mark.parametrize(
    "check",
    [
        lambda gguf: options.check_target(options.TargetOptions(target=gguf)),
        lambda gguf: options.read_drafter_option(f"model={gguf}"),
    ],
    ids=["target", "drafter"],
)
def test_a_read_only_cache_is_told_before_a_conversion_and_used_after_it(check, monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    gguf = tmp_path / "tiny.gguf"
    gguf.write_bytes(b"GGUF")
    conversion_folder("0" * 64).mkdir(parents=True)  # of something else
    with pytest.raises(StorageError, match="set SPECLIGHT_CACHE"):
        check(str(gguf))
    conversion_folder(hashlib.sha256(b"GGUF").hexdigest()).mkdir()
    check(str(gguf))


@pytest.mark.usefixtures("read_only_disk")
def test_a_read_only_cache_that_holds_the_default_target_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(StorageError, match="set SPECLIGHT_CACHE"):
        options.check_cache("default")
    conversion_folder(GGUF_SHA256).mkdir(parents=True)
    options.check_cache("default")
