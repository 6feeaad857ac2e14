"""The mutations of risk gates, of stored states and of the package; `mutations` has the others."""

from mutants.mutation import Mutation

_FIELDS = ("tests/upgrades/test_fields.py",)
_LEVELS = ("tests/streams/test_levels.py::test_a_level_that_nobody_vouches_for_moves_no_money",)
_RISK = (
    *("tests/metamodel/trading/test_risk.py", "tests/metamodel/trading/test_risk_halts.py"),
    "tests/metamodel/trading/test_in_flight.py",
    "tests/metamodel/learning/test_sleepers.py::test_with_nobody_awake_limits_still_reduce_and_people_still_close",
)

UPGRADES = (
    Mutation(
        "upgrades: the first upcast is dropped",
        "metamodel/base",
        "upcast",
        r"upcasts\[version - 1 :\]",
        "upcasts[version:]",
        _FIELDS,
    ),
    Mutation(
        "upgrades: a field that no upcast knows reaches a kernel",
        "metamodel/base",
        "check_fields",
        "",
        "return",
        _FIELDS,
    ),
    Mutation(
        "upgrades: a book of 0.1.0 is not brought up to date",
        "streams",
        "upcast_v1_v2",
        "",
        "return saved",
        ("tests/streams/test_control_log.py::test_a_state_without_this_memory_goes_on",),
    ),
)

_PASSED = {
    "return want, verdict": (
        *("state", "data", "spread", "collar", "position", "notional", "order_qty", "order_rate", "turnover"),
        *("min_order", "in_flight", "long_only"),
    ),
    "return verdict": ("daily_loss", "drawdown"),
    "return size, verdict": ("var", "volatility", "kelly"),
    "return lots_of(ask.target * view.unit), 0": ("no_agents",),
}
"""What a gate that lets everything pass would do."""

GATES = (
    *(
        Mutation(f"gates: {gate} lets everything pass", "metamodel/trading", f"gate_{gate}", "", body, _RISK)
        for body, gates in _PASSED.items()
        for gate in gates
    ),
    Mutation(
        "gates: confidence scales nothing", "metamodel/trading", "by_confidence", "", "return target", _RISK
    ),
    Mutation(
        "gates: a halt by a limit does not flatten",
        "metamodel/trading",
        "new_limits",
        r"flatten=.*,$",
        "flatten=False,",
        _RISK,
    ),
    Mutation(
        "gates: any level of price is believed",
        "metamodel/trading",
        "believe",
        "",
        "return BELIEVED",
        _LEVELS,
    ),
)

_URGENT = ("tests/metamodel/trading/test_urgent.py",)

URGENT = (
    Mutation(
        "urgent: nothing is ordered at a heartbeat",
        "metamodel/trading/urgent.py",
        "flatten",
        "",
        "return",
        _URGENT,
    ),
    Mutation(
        "urgent: what a limit closes is ordered at a heartbeat, too",
        "metamodel/trading/urgent.py",
        "flatten",
        r"\.flattening != BY_PERSON",
        ".flattening == 0",
        _URGENT,
    ),
    Mutation(
        "urgent: rows that are no heartbeats trade, too",
        "metamodel/trading/ensemble.py",
        "_run",
        r"elif row\.flag & REPEATED == HEARTBEAT:",
        "elif row.flag & HEARTBEAT:",
        ("tests/metamodel/trading/test_risk_halts.py",),
    ),
    Mutation(
        "urgent: the position is turned by overtaking an order",
        "metamodel/trading/urgent.py",
        "_closable",
        "",
        "return a.lots + a.flying",
        _URGENT,
    ),
    Mutation(
        "urgent: another order is sent before the first is filled",
        "metamodel/trading/urgent.py",
        "_ask_of",
        r"a\.urgent != 0 or ",
        "",
        _URGENT,
    ),
    Mutation(
        "urgent: an order is sent at a price that is not believed",
        "metamodel/trading/urgent.py",
        "_view_of",
        r"clock\.level == AT_HOME",
        "True",
        _URGENT,
    ),
    Mutation(
        "urgent: the order is filled as late as others",
        "metamodel/base/account.py",
        "place_urgent",
        r"a\.urgent = lots",
        "pass",
        _URGENT,
    ),
    Mutation(
        "urgent: two fills of one row have one id",
        "streams/records.py",
        "each_fill",
        r'fill2" if second',
        'fill" if second',
        ("tests/streams/test_records.py",),
    ),
    Mutation(
        "urgent: of two fills that were published one is remembered",
        "streams/published.py",
        "Published.add",
        r"\.setdefault\(seq, \[\]\)\.append\(raw\)",
        "[seq] = [raw]",
        ("tests/streams/test_published.py",),
    ),
)

PACKAGE = (
    Mutation(
        "wheel: weights stay behind",
        "pyproject.toml",
        "",
        r'^"\*" = \["\*"\]$',
        '"*" = ["*.py"]',
        ("tests/project/test_packaging.py::test_the_wheel_holds_every_committed_file_and_no_other",),
    ),
    Mutation(
        "wheel: secrets go with it",
        "pyproject.toml",
        "",
        r', "windvane\.infra\.deploy\.secrets\*"\]',
        "]",
        ("tests/project/test_packaging.py::test_the_wheel_holds_every_committed_file_and_no_other",),
    ),
)
