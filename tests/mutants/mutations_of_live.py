"""Faults of live sessions: what is stored, gone on from, controlled and taught."""

from mutants.mutation import Mutation

_LATE = ("tests/infra/live/test_late_trainings.py",)

LIVE: tuple[Mutation, ...] = (
    Mutation(
        "live: a row waits for a training",
        "streams/embedded.py",
        "EmbeddedRunner.pump",
        r"self\._waits or self\._training\[0\]\[1\]\.done\(\)",
        "True",
        _LATE,
    ),
    Mutation(
        "live: rows are told without a mark",
        "infra/live",
        "LiveBook.rows",
        r"        self\._commit\(mark, self\._pressed\(\)\)$",
        "        self._pressed()",
        _LATE,
    ),
    Mutation(
        "live: a state stored at midnight is of the day before",
        "infra/live",
        "LiveBook.begin_save",
        r'"after": self\._over',
        '"after": ""',
        _LATE,
    ),
    Mutation(
        "live: choices of time are not made again",
        "infra/live",
        "go_on",
        r"            choices\.follow\(event\.last\)$",
        "            pass",
        _LATE,
    ),
    Mutation(
        "live: a press that is repeated counts twice",
        "infra/live",
        "Controls.carry_out",
        r"if nonce and nonce in known:",
        "if False:",
        ("tests/infra/live/test_session_controls.py",),
    ),
    Mutation(
        "live: the time waits for nothing that has arrived",
        "infra/feeds",
        "Session.settled",
        r"if not self\._left\(\):",
        "if True:",
        ("tests/infra/feeds/test_settled.py",),
    ),
    Mutation(
        "live: a book begins with nothing of another run",
        "infra/live",
        "Session._open",
        r"take_over\(book, plan\.learned\)",
        "pass",
        ("tests/infra/live/test_taking_over.py",),
    ),
    Mutation(
        "live: a history is traded on",
        "infra/live",
        "teach",
        r'"halt", 0',
        '"resume", 0',
        ("tests/infra/live/test_warmed_session.py",),
    ),
)
