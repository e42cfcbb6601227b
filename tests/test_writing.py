"""What is said where a file cannot be written: space is asked for only where space is missing."""

import errno
import os

import pytest

from speclight import writing
from speclight.errors import StorageError
from speclight.writing import could_not_write, write_whole


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_space_is_asked_for_where_it_is_missing(number):
    rust = RuntimeError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")
    for error in (OSError(number, "in another language"), rust):
        said = str(could_not_write("it", error))
        assert said == f"could not write it ({os.strerror(number)}); free some space or choose another folder"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.ENOENT, errno.EFBIG])
def test_other_causes_ask_for_another_place(number):
    said = str(could_not_write("it", OSError(number, "x"), "give another folder"))
    assert said == f"could not write it ({os.strerror(number)}); give another folder"


def test_a_library_s_own_words_are_kept():
    assert "(sizes differ)" in str(could_not_write("it", ValueError("sizes differ\nmore")))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "below" / "file"
    assert write_whole(path, b"old").read_bytes() == b"old"

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", full)
    with pytest.raises(StorageError, match=r"the 3 bytes of file .*free some space"):
        write_whole(path, memoryview(b"new"))
    assert path.read_bytes() == b"old"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_file_in_place_of_a_folder_is_no_lack_of_space(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError) as refused:
        write_whole(tmp_path / "file" / "x", b"content")
    assert "space" not in str(refused.value)
