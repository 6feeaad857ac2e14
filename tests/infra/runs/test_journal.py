"""The journal after crashes and accidents: a reader gives a prefix of what was written, or says why it cannot."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from simulated_book import Recorded, config, opening, plain_run, same, table, ticks
from windvane.infra.runs import journal
from windvane.infra.runs.journal import FILE, JournalError, JournalWriter
from windvane.streams import topics
from windvane.streams.events import BookClosed, Event, cut

MAGIC = len(b"WINDVANE JOURNAL 1\n")


@pytest.fixture(scope="module")
def seen() -> Recorded:
    rows = ticks(560)
    parts = [cut(rows, 0, 3), cut(rows, 3, 540), cut(rows, 540, 560)]
    return plain_run([opening(config()), *parts, BookClosed(book="book", last=559)])


@pytest.fixture
def written(seen: Recorded, tmp_path: Path) -> Path:
    with JournalWriter(tmp_path) as writer:
        for topic, event in seen:
            writer.write(topic, event)
    return tmp_path


def ends(seen: Recorded, folder: Path) -> list[int]:
    """Offset of the end of every record, the start of the first at first."""
    found = []
    with JournalWriter(folder) as writer:
        found.append(writer.sync())
        for topic, event in seen:
            writer.write(topic, event)
            found.append(writer.sync())
    return found


def assert_prefix(got: Recorded, of: Recorded, records: int) -> None:
    assert [topic for topic, _ in got] == [topic for topic, _ in of[:records]]
    same(table(e for _, e in got), table(e for _, e in of[:records]))


def test_what_was_written_is_read(seen: Recorded, written: Path) -> None:
    assert_prefix(list(journal.read(written)), seen, len(seen))


def test_every_event_type_of_a_run_is_in_it(seen: Recorded) -> None:
    assert {t.name for t, _ in seen} >= {t.name for t in topics.TOPICS} - {
        "control",
        "models",
        "dead-letters",
        "shadows",
    }


def test_a_file_cut_anywhere_gives_the_whole_records_before(seen: Recorded, tmp_path: Path) -> None:
    edges = ends(seen, tmp_path / "whole")
    raw = (tmp_path / "whole" / FILE).read_bytes()
    torn = tmp_path / "torn"
    torn.mkdir()
    near = {edge + by for edge in edges for by in (-9, -1, 0, 1, 4, 7, 8, 9)}
    anywhere = np.random.default_rng(0).integers(MAGIC, len(raw), 60).tolist()
    for at in sorted(near.union(anywhere)):
        if not MAGIC <= at <= len(raw):
            continue
        (torn / FILE).write_bytes(raw[:at])
        whole = sum(edge <= at for edge in edges) - 1
        assert [t.name for t, _ in journal.read(torn)] == [t.name for t, _ in seen[:whole]], at
    (torn / FILE).write_bytes(raw[: edges[5] + 3])
    assert_prefix(list(journal.read(torn)), seen, 5)


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\0" * 8, b"\0" * 9, b"\xff" * 4096, b"\x01\0\0\0" * 100])
def test_what_a_crash_may_leave_behind_the_last_record_is_not_read(
    tail: bytes, seen: Recorded, written: Path
) -> None:
    with (written / FILE).open("ab") as file:
        file.write(tail)
    assert_prefix(list(journal.read(written)), seen, len(seen))


def test_a_record_that_was_changed_ends_what_is_read(seen: Recorded, tmp_path: Path) -> None:
    edges = ends(seen, tmp_path)
    raw = (tmp_path / FILE).read_bytes()
    rng = np.random.default_rng(1)
    for record in (0, 3, len(seen) - 1):
        for at in rng.integers(edges[record], edges[record + 1], 12).tolist():
            bad = bytearray(raw)
            bad[at] ^= 1 << int(rng.integers(0, 8))
            (tmp_path / FILE).write_bytes(bad)
            assert_prefix(list(journal.read(tmp_path)), seen, record)


@pytest.mark.parametrize("raw", [b"", b"WINDVANE JOUR", b"WINDVANE JOURNAL 2\n", b"PK\x03\x04" * 50])
def test_what_is_no_journal_is_refused_in_one_sentence(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(raw)
    with pytest.raises(JournalError, match="is not a journal") as refused:
        list(journal.read(tmp_path))
    assert "\n" not in str(refused.value)


def record(body: bytes) -> bytes:
    return len(body).to_bytes(4, "little") + zlib.crc32(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    "body",
    [
        b"\x05ticks",
        b"\x05ticks\x04\0\0\0nonsense",
        b"\x04nope\0\0\0\0",
        b"\x02\xff\xfe\0\0\0\0",
        b"\xff",
        b"x",
    ],
)
def test_a_whole_record_that_makes_no_sense_is_an_error_not_an_end(
    body: bytes, seen: Recorded, written: Path
) -> None:
    with (written / FILE).open("ab") as file:
        file.write(record(body))
    found = []
    with pytest.raises(JournalError):
        found.extend(journal.read(written))


def test_a_writer_that_goes_on_cuts_off_what_is_torn(seen: Recorded, tmp_path: Path) -> None:
    edges = ends(seen, tmp_path)
    with (tmp_path / FILE).open("ab") as file:
        file.write(b"\x10\0\0\0torn")
    with JournalWriter(tmp_path, edges[4]) as writer:
        for topic, event in seen[4:]:
            writer.write(topic, event)
    assert_prefix(list(journal.read(tmp_path)), seen, len(seen))


def test_a_writer_does_not_go_on_beyond_the_end(seen: Recorded, written: Path) -> None:
    size = (written / FILE).stat().st_size
    with pytest.raises(JournalError), JournalWriter(written, size + 100) as writer:
        writer.write(*seen[0])


def test_a_journal_is_found_by_its_folder_and_by_its_run(seen: Recorded, tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "journal") as writer:
        writer.write(*seen[0])
    assert journal.find(tmp_path) == journal.find(tmp_path / "journal") == tmp_path / "journal"
    with pytest.raises(JournalError, match="holds no journal"):
        journal.find(tmp_path / "elsewhere")


def test_an_event_of_every_kind_comes_back(seen: Recorded, tmp_path: Path) -> None:
    kinds: dict[str, tuple[topics.Topic, Event]] = {type(e).__name__: (t, e) for t, e in seen}
    chosen: Sequence[tuple[topics.Topic, Event]] = list(kinds.values())
    with JournalWriter(tmp_path) as writer:
        for topic, event in chosen:
            writer.write(topic, event)
    same(table(e for _, e in journal.read(tmp_path)), table(e for _, e in chosen))
