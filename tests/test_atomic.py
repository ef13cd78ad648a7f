"""Files written whole or not at all, whatever stands at the path."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from t2fast import atomic


def test_a_failure_midway_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_bytes(b"old")

    def parts():  # type: ignore[no-untyped-def]
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic.write(path, parts())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["kept"]


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there" / "file")  # it dangles at first
    for content in (b"one", b"two"):
        atomic.write(link, [content])
        assert link.is_symlink()
        assert (tmp_path / "there" / "file").read_bytes() == content


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_is_honoured(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        atomic.write(tmp_path / "new", [b"x"])
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~umask


def test_a_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"")
    path.chmod(0o640)
    atomic.write(path, [b"x"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    atomic.check(pipe)
    atomic.write(pipe, [b"a", b"b"])
    reader.join(10)
    assert read == [b"ab"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_devices_stay_devices() -> None:
    atomic.write("/dev/null", [b"gone"])
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    script = "from t2fast import atomic; atomic.write('/dev/stdout', [b'through'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"through"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="the system has no /proc")
def test_a_folder_that_holds_no_files_is_not_said_to_be_missing() -> None:
    for attempt in (atomic.check, lambda where: atomic.write(where, [b"x"])):
        with pytest.raises(OSError, match="no file can be made in /proc"):
            attempt("/proc/law.json")


@pytest.mark.parametrize(
    ("path", "words"), [("missing/law.json", "there is no folder"), (".", "it is a folder")]
)
def test_what_cannot_be_written_is_said_in_words_before_and_after(
    tmp_path: Path, path: str, words: str
) -> None:
    for attempt in (atomic.check, lambda where: atomic.write(where, [b"x"])):
        with pytest.raises(OSError, match=words) as caught:
            attempt(tmp_path / path)
        assert "Errno" not in str(caught.value)
        assert ".tmp" not in str(caught.value)
    assert os.listdir(tmp_path) == []
