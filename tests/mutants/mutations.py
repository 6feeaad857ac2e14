"""The mutations. Add one for every rule whose loss no test would notice, and the test that does.

`room` and `place` name where the code is. Where that was renamed, `make mutants` and tests/project/test_mutants.py say
which name is not found.
"""

from mutants.mutation import Mutation
from mutants.mutations_of_learning import LEARNING
from mutants.mutations_of_live import LIVE
from mutants.mutations_of_risk import GATES, PACKAGE, UPGRADES, URGENT

_BOOK = ("tests/streams/test_book_controls.py",)
_PUBLISHED = ("tests/streams/test_published.py",)
_CODES = ("tests/metamodel/trading/test_codes.py",)
_NUMBERS = ("tests/infra/kafka/test_control_numbers.py",)
_TIMER = ("tests/streams/test_round_timer.py",)
_CLOSING = ("tests/infra/kafka/test_closing.py",)
_GATHERING = ("tests/infra/kafka/test_gathering.py",)
_SAVER = ("tests/infra/kafka/test_saver.py",)
_SIGNING = ("tests/kafka/test_signing.py",)
_MANY_ROWS = ("tests/streams/test_many_rows.py",)
_OPENING = ("tests/streams/test_opening.py",)

CONTROLS = (
    Mutation(
        "controls: a halt waits behind a resume that is planned",
        "streams",
        "BookControls.next_time",
        "",
        """
        control = self.next_control(row)
        return None if control is None else self.control_seq(control, row)
        """,
        _BOOK,
    ),
    Mutation(
        "controls: a book applies the lowest number, due or not",
        "streams",
        "BookControls.next_control",
        "",
        """
        numbers = sorted(n for n, c in self.known.items() if self.ready(c))
        return self.known[numbers[0]] if numbers else None
        """,
        _BOOK,
    ),
    Mutation(
        "controls: a book applies a swap whose model is not there",
        "streams",
        "BookControls.ready",
        "",
        "return True",
        _BOOK,
    ),
    Mutation(
        "controls: several rule one row",
        "streams",
        "BookControls.control_seq",
        r", self\.applied_at \+ 1\)",
        ")",
        _BOOK,
    ),
    Mutation(
        "controls: a sender counts on from the newest number, not from the highest",
        "infra/kafka/tools",
        "_Controls.add",
        r"max\(self\.highest, event\.number\)",
        "event.number",
        _NUMBERS,
    ),
    Mutation(
        "controls: a sender does not say which it passes",
        "infra/kafka/tools",
        "_passed",
        "",
        "return ()",
        _NUMBERS,
    ),
    Mutation(
        "controls: halt and reduce-only change their codes",
        "metamodel/trading",
        "HALT",
        r"range\(1, 5\)",
        "(2, 1, 3, 4)",
        _CODES,
    ),
)

PUBLISHED = (
    Mutation(
        "published: rows that are computed again are not compared",
        "streams/published.py",
        "_same",
        "",
        "return",
        _PUBLISHED,
    ),
    Mutation(
        "published: rows are compared as numbers, so that -0.0 is 0.0",
        "streams/published.py",
        "_same",
        r"np\.ascontiguousarray\(value\)\.tobytes\(\) != np\.ascontiguousarray\(was\)\.tobytes\(\)",
        "not np.array_equal(value, was)",
        _PUBLISHED,
    ),
    Mutation(
        "published: lines that are computed again are not compared",
        "streams/published.py",
        "Published.fresh_lines",
        r"!= raw:$",
        "is None:",
        _PUBLISHED,
    ),
    Mutation(
        "published: rows that are missing are not noticed",
        "streams/published.py",
        "Published.fresh_rows",
        r"if must > known:",
        "if False:",
        _PUBLISHED,
    ),
)

WIRE = (
    Mutation(
        "wire: bits of flags change places",
        "metamodel/base",
        "HEARTBEAT",
        r"for k in range\(7\)",
        "for k in (1, 0, 2, 3, 4, 5, 6)",
        _CODES,
    ),
    Mutation(
        "wire: bits of verdicts change places",
        "metamodel/trading",
        "Gate.DATA",
        r"1 << 1",
        "1 << 19",
        _CODES,
    ),
    Mutation(
        "signing: whatever is written is believed",
        "infra/kafka/broker",
        "guard",
        "",
        "return lambda event: True",
        _SIGNING,
    ),
    Mutation(
        "signing: any signature is right",
        "infra/kafka/broker",
        "verified",
        "",
        "return True",
        _SIGNING,
    ),
    Mutation(
        "signing: the prefix is not signed",
        "infra/kafka/broker",
        "_mac",
        r'"prefix": prefix',
        '"prefix": ""',
        _SIGNING,
    ),
    Mutation(
        "opening: bars that a feed sends are stale after a minute, however long they are",
        "streams/opening.py",
        "completed",
        r"default_stale_after\(config\.interval\)",
        "config.stale_after",
        _OPENING,
    ),
    Mutation(
        "opening: what is passed on keeps the digest of what was sent",
        "streams/opening.py",
        "completed",
        r"digest=digest\(config\)",
        "digest=digest(opened.config)",
        _OPENING,
    ),
    Mutation(
        "wire: a text that is no number is taken for a time",
        "streams/wire.py",
        "_Digits",
        r'"\^-\?\[0-9\]\{1,19\}\$"',
        'r"^\\s*[+-]?[0-9_]{1,19}$"',
        ("tests/infra/schemas/test_schemas.py",),
    ),
)

TIMED = (
    Mutation("timed: no round is ever due", "streams", "RoundTimer.due", "", "return {}", _TIMER),
    Mutation(
        "timed: a round is due before the proposals are read to their end",
        "streams",
        "RoundTimer.due",
        r"(late\.end is not None) and late\.end <= read",
        "late.end is not None",
        _TIMER,
    ),
    Mutation(
        "timed: no round is late by its age",
        "streams",
        "RoundTimer.watch",
        r"if now - mark\.since >= config\.round_timeout:",
        "if False:",
        _TIMER,
    ),
    Mutation(
        "timed: an end counts for rounds that were late after it was asked for",
        "streams",
        "RoundTimer.ends_at",
        r"self\.asking\(\) if asked is None else asked",
        "self.asking()",
        _TIMER,
    ),
)

WORKER = (
    Mutation("worker: no round is closed", "infra/kafka/worker", "Closer.close_due", "", "return", _CLOSING),
    Mutation(
        "worker: rounds are closed before the proposals are read",
        "infra/kafka/worker",
        "Closer._end",
        "",
        "return 0",
        _CLOSING,
    ),
    Mutation(
        "worker: a round that is open shortens no wait",
        "infra/kafka/worker",
        "Closer.seconds_left",
        "",
        "return most",
        _CLOSING,
    ),
    Mutation(
        "worker: a state is stored while the one before is being stored",
        "infra/kafka/worker",
        "Saver.save",
        r"if self\._task is not None:",
        "if False:",
        _SAVER,
    ),
    Mutation(
        "worker: the last state is not waited for",
        "infra/kafka/worker",
        "Saver.save",
        r"        if last:$",
        "        if False:",
        _SAVER,
    ),
    Mutation(
        "worker: nobody waits for the state that is being stored",
        "infra/kafka/worker",
        "Saver.settle",
        "",
        "self._task = None",
        _SAVER,
    ),
    Mutation(
        "worker: records of one book gather", "infra/kafka/worker", "wait_for", "", "return 0.05", _GATHERING
    ),
    Mutation(
        "worker: only the books of the own partition make records gather",
        "infra/kafka/worker",
        "Gathering._law",
        r"sum\(self\._crowd\.values\(\)\)",
        "len(self._books)",
        _GATHERING,
    ),
    Mutation(
        "worker: of many rows, numbers that are none are passed",
        "streams/many_rows.py",
        "_rows",
        r" or not all_finite\(array\)",
        "",
        _MANY_ROWS,
    ),
    Mutation(
        "worker: of many rows, one may come before the first",
        "streams/many_rows.py",
        "_made",
        r"if min\(seq\[0\] for seq in .*",
        "if False:",
        _MANY_ROWS,
    ),
    Mutation(
        "worker: of many rows, all have the columns of the first",
        "streams/many_rows.py",
        "_alike",
        r"if all\(len.*",
        "if True:",
        _MANY_ROWS,
    ),
    Mutation(
        "worker: a book is copied as it is after the steps that followed",
        "streams/books.py",
        "BookStage.step",
        r"self\._snapshot\.copy\(.*",
        "pass",
        ("tests/streams/test_snapshot.py",),
    ),
    Mutation(
        "worker: a log with a gap is gone on from",
        "infra/kafka/worker",
        "refuse_gaps",
        "",
        "return",
        ("tests/infra/kafka/test_recovery.py::TestRefuseGaps",),
    ),
    Mutation(
        "worker: what another program published is not looked at",
        "infra/kafka/worker",
        "check_handover",
        "",
        "return",
        ("tests/infra/kafka/test_recovery.py::TestCheckHandover",),
    ),
)

MUTATIONS: tuple[Mutation, ...] = (
    *CONTROLS,
    *PUBLISHED,
    *WIRE,
    *TIMED,
    *WORKER,
    *UPGRADES,
    *GATES,
    *URGENT,
    *PACKAGE,
    *LIVE,
    *LEARNING,
)
