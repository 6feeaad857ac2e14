"""How far a reader of orders has acted on them: a small file that is whole or absent, whatever crashes."""

from pathlib import Path

import msgspec

from windvane.infra.kafka.broker.settings import SettingsError
from windvane.infra.runs.files import replace_file


class BookmarkError(SettingsError):
    """A file that does not say where to go on: the message is one sentence that says why."""


class Place(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The content of the file: where to go on, and which orders have been acted on."""

    topic: str  # with its prefix
    book: str | None  # the only one that was read, or None for all
    next: dict[int, int]  # partition -> offset to read next
    seen: dict[str, int]  # book -> seq of the last order acted on


class Bookmark:
    """A place that is written to `path` whenever it moves, or only remembered where `path` is None.

    Raises BookmarkError where the file is of another topic or book, or cannot be read.
    """

    def __init__(self, path: Path | None, topic: str, book: str | None) -> None:
        self._path = path
        self.place = Place(topic=topic, book=book, next={}, seen={})
        if path is not None and path.exists():
            self.place = _read(path)
            owner = (self.place.topic, self.place.book)
            if owner != (topic, book):
                raise BookmarkError(
                    f"{path} belongs to {_named(*owner)}, not to {_named(topic, book)}: give another file"
                )

    def move(self, partition: int, offset: int, book: str, seq: int, *, durably: bool) -> None:
        """Remember that the order at `offset` has been acted on.

        durably: survive a power cut too, which takes milliseconds. Otherwise a power cut may forget the last moves, and
        their orders come again; a crash of the program alone forgets nothing.
        """
        self.place.next[partition] = offset + 1
        self.place.seen[book] = seq
        if self._path is not None:
            replace_file(self._path, msgspec.json.encode(self.place) + b"\n", durably=durably)


def _read(path: Path) -> Place:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Place)
    except msgspec.DecodeError as error:
        raise BookmarkError(
            f"{path} does not say where to go on ({error}): remove it to read all orders again"
        ) from error


def _named(topic: str, book: str | None) -> str:
    return f"{topic}, all books" if book is None else f"{topic}, book {book}"
