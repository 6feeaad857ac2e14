"""Records that nobody should have written, on every topic that a stage reads or writes."""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from running import PARTITIONS

from simulated_book import config, opening, ticks
from windvane.infra.kafka.broker.settings import partition_of
from windvane.infra.kafka.broker.signing import sign
from windvane.streams.codec import from_json, to_json
from windvane.streams.events import BookClosed, BookOpened, Control, Proposals, Ticks, cut
from windvane.streams.topics import (
    CONTROL,
    DECISIONS,
    FEATURES,
    FILLS,
    LEARNER,
    ORDERS,
    PROPOSALS,
    TICKS,
    Topic,
)

BOOK = "good"
HERE = partition_of(BOOK, PARTITIONS)
ELSEWHERE = next(name for k in range(99) if partition_of(name := f"far{k}", PARTITIONS) != HERE)
GIANT = 1_048_588 - 200  # what the broker takes at most, less what goes around a record


def beside(stem: str) -> str:
    """A book's name on the same partition as the good one."""
    return next(name for k in range(99) if partition_of(name := f"{stem}{k}", PARTITIONS) == HERE)


LIAR, STRANGER, NEVER, CLOSED = beside("liar"), beside("stranger"), beside("never"), beside("closed")


@dataclass(frozen=True)
class Bad:
    """A record that nobody should have written, and what its dead letter says; reason "": none is needed."""

    what: str
    topic: Topic
    raw: bytes | None
    reason: str
    times: int = 1
    key: bytes | None = b""


def _json(kind: str, book: str = BOOK, **fields: Any) -> bytes:
    return msgspec.json.encode({"type": kind, "book": book, **fields})


def _rows(seq: int, book: str = BOOK) -> Ticks:
    return msgspec.structs.replace(cut(ticks(10), 0, 1), book=book, seq=np.array([seq]))


def _proposal(seq: int, *agents: str) -> bytes:
    n = len(agents)
    real = np.zeros((1, n))
    batch = Proposals(
        book=BOOK,
        seq=np.array([seq]),
        agents=agents,
        versions=("1",) * n,
        target=real,
        action=np.zeros((1, n), np.int64),
        confidence=real,
    )
    return to_json(batch)


def _strange() -> bytes:
    opened = to_json(opening(config(), STRANGER)).replace(b'"vol_trend"', b'"no_such_agent"')
    settings = from_json(opened)
    assert isinstance(settings, BookOpened)
    return to_json(opening(settings.config, STRANGER))


def _wide(**changes: int) -> bytes:
    """An opening with a number that 64 bits do not hold."""
    said = msgspec.json.decode(to_json(opening(config(), beside("wide"))))
    said["config"] |= changes
    return msgspec.json.encode(said)


UNSIGNED = Control(book=BOOK, number=1, action="flatten", effective_from=0)
COLUMNS = {"seq": [0, 1], "ts": [1, 2], "flags": [0, 0], "price": [1.0, 2.0]}

BAD = (
    Bad("garbage ticks", TICKS, b"\xff\xfe\x00garbage{", "not an event"),
    Bad("garbage features", FEATURES, b"\x00" * 300, "not an event"),
    Bad("garbage proposals", PROPOSALS, b'{"type":"Proposals"', "not an event"),
    Bad("garbage learner", LEARNER, b"[1,2,3]", "not an event"),
    Bad("garbage control", CONTROL, b"halt!", "not an event"),
    Bad("null ticks", TICKS, None, "not an event"),
    Bad("null features", FEATURES, None, "not an event"),
    Bad("null proposals", PROPOSALS, None, "not an event"),
    Bad("null control", CONTROL, None, "not an event"),
    Bad("null key", TICKS, b"no key", "not an event", key=None),
    Bad("empty", TICKS, b"", "not an event"),
    Bad("deep", TICKS, b'{"type":"Ticks","x":' + b"[" * 100_000, "not an event"),
    Bad("unknown type", TICKS, _json("Rumour"), "not an event"),
    Bad("missing column", TICKS, _json("Ticks", **{**COLUMNS, "price": None}), "not an event"),
    Bad("no columns", TICKS, _json("Ticks"), "not an event"),
    Bad(
        "NaN as text",
        TICKS,
        _json("Ticks", **{**COLUMNS, "price": ["NaN", "NaN"]}),
        "Expected `float`, got `str`",
    ),
    Bad("infinite", TICKS, _json("Ticks", **COLUMNS).replace(b"2.0", b"1e400"), "out of range"),
    Bad("ragged", TICKS, _json("Ticks", **{**COLUMNS, "price": [1.0]}), "rows, seq has 2"),
    Bad("seq that falls", TICKS, _json("Ticks", **{**COLUMNS, "seq": [5, 4]}), "seq must grow"),
    Bad("Decisions on ticks", TICKS, _proposal(0, "vol_trend"), "Proposals does not belong on ticks"),
    Bad("ticks on features", FEATURES, to_json(_rows(0)), "Ticks does not belong on features"),
    Bad("ticks on control", CONTROL, to_json(_rows(0)), "Ticks does not belong on control"),
    Bad("900 KB", TICKS, b'"' + b"x" * 900_000 + b'"', "the record has 900002 bytes"),
    Bad("as large as can be", PROPOSALS, b"y" * GIANT, f"the record has {GIANT} bytes"),
    Bad("wrong partition", TICKS, to_json(_rows(0, ELSEWHERE)), f"book {ELSEWHERE} belongs on another"),
    Bad("giant name", TICKS, to_json(BookClosed(book="n" * 400_000, last=1)), "characters, this one 400000"),
    Bad("no name", TICKS, to_json(BookClosed(book="", last=1)), "characters, this one 0"),
    Bad("never opened", TICKS, to_json(_rows(0, NEVER)), f"book {NEVER} was never opened", times=70),
    Bad("never opened, closed", TICKS, to_json(BookClosed(book=CLOSED, last=3)), f"book {CLOSED} was never"),
    Bad("far ahead", TICKS, to_json(_rows(10**12)), "seq 1000000000000 is too far ahead", times=70),
    Bad("far proposals", PROPOSALS, _proposal(10**12, "vol_trend"), "is too far ahead", times=70),
    Bad("absurd end", TICKS, to_json(BookClosed(book=BOOK, last=10**15)), "seq 1000000000000000 is too far"),
    Bad("endless end", TICKS, _json("BookClosed", last=10**40), "cannot be written again"),
    Bad("end before the start", TICKS, to_json(BookClosed(book=BOOK, last=-7)), "it cannot end with seq -7"),
    Bad("other settings", TICKS, to_json(opening(config(seed=9), BOOK)), f"open {BOOK}-2 instead"),
    Bad(
        "wrong digest",
        TICKS,
        to_json(msgspec.structs.replace(opening(config(), LIAR), digest="0" * 64)),
        f"the digest of book {LIAR} is not that of its settings",
    ),
    Bad(
        "unknown agent", TICKS, _strange(), f"book {STRANGER} cannot be opened: unknown agent 'no_such_agent'"
    ),
    Bad("endless wait", TICKS, _wide(stale_after=10**30), "stale_after is 1"),
    Bad("endless seed", TICKS, _wide(seed=2**64), "seed is 18446744073709551616"),
    Bad("strange agents", PROPOSALS, _proposal(0, "oracle"), "has no agent oracle"),
    Bad(
        "endless version",
        LEARNER,
        _json(
            "LearnerUpdate",
            version=10**30,
            trained_at=0,
            effective_from=0,
            outcome="kept",
            samples=0,
            agents=[],
            scores=[],
        ),
        "cannot be written again",
    ),
    Bad("unsigned", CONTROL, to_json(UNSIGNED), "control 1 is not signed by who may"),
    Bad(
        "wrongly signed",
        CONTROL,
        to_json(sign(UNSIGNED, b"another key", "test")),
        "control 1 is not signed by who may",
    ),
    Bad("garbage decisions", DECISIONS, b"\x00\x01", ""),
    Bad("null decisions", DECISIONS, None, ""),
    Bad("garbage orders", ORDERS, b"{]", ""),
    Bad("garbage fills", FILLS, b'{"book":"good"}', ""),
    Bad("null orders", ORDERS, None, ""),
)
