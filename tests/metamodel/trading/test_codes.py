"""Numbers that leave the process keep their meaning: of controls, of flags, of an account's state, of reasons."""

from windvane.metamodel.base import rows
from windvane.metamodel.trading import control, risk


class TestControls:
    """The kernel reads a control as its place in CONTROLS, from 1."""

    def test_every_code_of_the_kernel_is_the_place_of_its_word(self) -> None:
        codes = {"halt": control.HALT, "reduce-only": control.RESTRICT, "resume": control.RESUME}
        codes["flatten"] = control.FLATTEN
        assert codes == {word: 1 + control.CONTROLS.index(word) for word in codes}

    def test_words_are_those_that_people_send(self) -> None:
        assert control.CONTROLS == (
            "halt",
            "reduce-only",
            "resume",
            "flatten",
            "roll-back",
            "swap",
            "wake",
            "retire",
        )


class TestFlags:
    """Bits of `flags` stand in topics, journals and states."""

    def test_every_bit_keeps_its_number(self) -> None:
        bits = (rows.HEARTBEAT, rows.BAD, rows.GAP, rows.WARMUP, rows.BENCHED, rows.LEVEL, rows.STRAY)
        assert bits == (1, 2, 4, 8, 16, 32, 64)

    def test_rows_that_repeat_the_last_good_values_are_heartbeats_bad_rows_and_gaps(self) -> None:
        assert rows.REPEATED == 1 | 2 | 4


class TestState:
    """An account's state stands in decisions, and with its reasons in snapshots."""

    def test_every_state_keeps_its_number(self) -> None:
        assert (risk.ACTIVE, risk.REDUCE_ONLY, risk.HALTED) == (0, 1, 2)

    def test_every_reason_keeps_its_number(self) -> None:
        assert (risk.BY_LIMIT, risk.BY_PERSON) == (1, 2)
        assert (risk.RESTRICTED_BY_PERSON, risk.RESTRICTED_BY_LEVEL) == (1, 2)


class TestGates:
    """Bits of verdicts stand in decisions, and every journal is read with them."""

    def test_every_bit_keeps_its_gate(self) -> None:
        assert [(gate.name.lower(), int(gate)) for gate in risk.Gate] == [
            (name, 1 << k) for k, name in enumerate(risk.GATES)
        ]
        assert risk.GATES[:3] == ("state", "data", "spread")
        assert risk.GATES[-3:] == ("in_flight", "no_agents", "long_only")
