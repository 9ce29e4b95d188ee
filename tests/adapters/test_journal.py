"""Lines on disk: what survives whom, who takes over from whom, a disk that is full."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.adapters import journal
from gateway.adapters.journal import Journal


def drained(one: Journal) -> list[bytes]:
    found: list[bytes] = []
    while (batch := one.next()) is not None:
        found += batch.lines
        one.done(batch)
    return found


def lines(count: int) -> list[bytes]:
    return [b'{"number": %d}\n' % number for number in range(count)]


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_lines_come_out_as_they_went_in_and_leave_no_file_behind(tmp_path: Path) -> None:
    one = Journal(tmp_path)
    for line in lines(1200):
        one.put(line)
    assert (len(one), one.bytes > 0, one.in_memory) == (1200, True, 0)
    assert drained(one) == lines(1200)
    assert (len(one), one.bytes, one.waiting) == (0, 0, False)
    one.put(b"later\n")
    assert drained(one) == [b"later\n"]
    one.close()
    assert files(tmp_path) == []


def test_lines_that_come_while_others_are_stored_wait_for_their_turn(tmp_path: Path) -> None:
    one = Journal(tmp_path)
    one.put(b"first\n")
    batch = one.next()
    assert batch is not None
    one.put(b"second\n")
    one.done(batch)
    assert one.every() == [b"second\n"]
    assert drained(one) == [b"second\n"]


def test_many_lines_are_in_several_files_each_gone_once_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_SEGMENT", 1000)
    one = Journal(tmp_path)
    for line in lines(300):
        one.put(line)
    assert len(files(tmp_path)) > 3
    assert drained(one) == lines(300)
    assert len(files(tmp_path)) == 1


WRITER = """
import os, signal, sys
from pathlib import Path
from gateway.adapters.journal import Journal
one = Journal(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    one.put(b'{"number": %d}\\n' % number)
print("put", flush=True)
if sys.argv[3] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
sys.stdin.read()
"""


def writer(folder: Path, count: int, then: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(count), then],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_what_a_killed_process_has_put_is_taken_over_by_one_other(tmp_path: Path) -> None:
    with writer(tmp_path, 700, "dies") as process:
        assert process.wait() == -signal.SIGKILL
    heirs = [Journal(tmp_path), Journal(tmp_path)]
    found = [heir.orphans() for heir in heirs]
    assert [len(one) for one in found] == [1, 0]
    heirs[0].take(found[0])
    assert len(heirs[0]) == 700
    assert drained(heirs[0]) == lines(700)
    assert files(tmp_path) == []


def test_the_journal_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    with writer(tmp_path, 3, "lives") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"put\n"
        assert Journal(tmp_path).orphans() == []
        process.kill()


def test_a_line_that_was_cut_by_a_death_is_left_out_and_the_rest_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "1-a.journal").write_bytes(b"whole\nhal")
    one = Journal(tmp_path)
    one.take(one.orphans())
    assert drained(one) == [b"whole\n"]
    assert "ends within a line" in caplog.text
    assert files(tmp_path) == []


def test_a_line_that_is_longer_than_what_is_read_at_once_takes_none_with_it(tmp_path: Path) -> None:
    one, long = Journal(tmp_path), b"x" * 300_000 + b"\n"
    for line in (b"first\n", long, b"last\n"):
        one.put(line)
    assert drained(one) == [b"first\n", long, b"last\n"]
    one.close()


def test_what_is_left_at_the_end_stays_for_the_next_process(tmp_path: Path) -> None:
    one = Journal(tmp_path)
    one.put(b"left\n")
    one.close()
    heir = Journal(tmp_path)
    heir.take(heir.orphans())
    assert drained(heir) == [b"left\n"]


def test_without_a_folder_lines_are_kept_in_memory() -> None:
    one = Journal(None)
    one.put(b"a\n")
    assert (one.in_memory, one.trouble) == (1, "")
    assert drained(one) == [b"a\n"]


def test_on_a_full_disk_lines_are_kept_in_memory_up_to_a_bound_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = Journal(tmp_path, most_lines=2)
    one.put(b"on disk\n")
    real = os.write

    def full(descriptor: int, line: bytes) -> int:
        if line.startswith(b"half"):
            return real(descriptor, line[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        for line in (b"half\n", b"memory\n", b"lost\n"):
            one.put(line)
        assert one.trouble == "No space left on device"
        assert (one.in_memory, one.lost, len(one)) == (2, 1, 3)
    one.put(b"again on disk\n")
    assert one.trouble == ""
    assert "kept in memory" in caplog.text
    assert sorted(drained(one)) == [b"again on disk\n", b"half\n", b"memory\n", b"on disk\n"]


def test_a_journal_has_a_longest_length(tmp_path: Path) -> None:
    one = Journal(tmp_path, most_bytes=20, most_lines=1)
    for _ in range(4):
        one.put(b"ten bytes\n")
    assert (one.bytes, one.in_memory, one.lost) == (20, 1, 1)
    assert "state.journal_max_bytes" in one.trouble


def test_a_folder_that_cannot_be_made_is_as_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    one = Journal(tmp_path / "file" / "journal")
    assert one.orphans() == []
    one.put(b"kept\n")
    assert one.trouble == "Not a directory"
    assert drained(one) == [b"kept\n"]


def test_the_folder_is_for_us_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").put(b"a\n")
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700
    (file,) = files(tmp_path / "journal")
    assert file.stat().st_mode & 0o777 == 0o600
