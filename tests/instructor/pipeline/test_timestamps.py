"""When something was handed in is read as nbgrader reads it, and never more than a time has."""

import os

import pytest
from nbgrader.coursedir import CourseDirectory

from attncourse.instructor import limits
from attncourse.instructor.pipeline.timestamps import read_timestamps_within_limits

TIME = "2030-01-02 10:00:00 UTC"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "ada" / "ps1"
    folder.mkdir(parents=True)
    return folder


def read(folder):
    directory = CourseDirectory()
    read_timestamps_within_limits(directory)
    return directory.get_existing_timestamp(str(folder))


@pytest.mark.parametrize("text", [TIME, f"{TIME}\n", "2030-01-02 10:00:00", "2030-01-02"])
def test_a_time_is_read_as_nbgrader_reads_it(folder, text):
    (folder / "timestamp.txt").write_text(text)
    assert read(folder) == CourseDirectory().get_existing_timestamp(str(folder))
    assert read(folder) is not None


@pytest.mark.parametrize("text", ["", "yesterday", "9" * 30 + ".5h", "\0", "\udc80"])
def test_what_is_no_time_is_told_and_is_none(folder, text, caplog):
    (folder / "timestamp.txt").write_bytes(text.encode(errors="surrogateescape"))
    assert read(folder) is None
    assert "timestamp.txt is not taken for a time" in caplog.text


def test_no_more_is_read_than_a_time_has(folder):
    (folder / "timestamp.txt").write_text(TIME + " " * limits.MAX_TIMESTAMP_BYTES)
    assert read(folder) is None


def test_neither_a_link_is_followed_nor_a_pipe_waited_for(folder, tmp_path):
    (tmp_path / "elsewhere").write_text(TIME)
    (folder / "timestamp.txt").symlink_to(tmp_path / "elsewhere")
    assert read(folder) is None
    (folder / "timestamp.txt").unlink()
    os.mkfifo(folder / "timestamp.txt")
    assert read(folder) is None
    assert read(folder.parent) is None
