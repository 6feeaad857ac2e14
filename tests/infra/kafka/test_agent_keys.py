"""Keys of agents: read from the environment or a file, never shown; only who has each of them speaks for its agents."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windvane.infra.kafka.broker.agent_keys import HEADER, Signer, prover, signature_of
from windvane.infra.kafka.broker.settings import KafkaSettings, SettingsError, keys_by_agent

LONG = {name: f"{name}-key-of-the-tests" for name in ("js", "py", "workers")}
RAW = b'{"type":"Proposals"}'


def settings(words: str) -> KafkaSettings:
    return KafkaSettings(agent_keys=words or None)


def signature(words: str, raw: bytes = RAW) -> bytes:
    return signature_of(Signer(settings(words)).headers(raw))


ALL = f"*={LONG['workers']}\njs={LONG['js']}  py={LONG['py']}"


class TestProver:
    @pytest.mark.parametrize(
        ("signed_with", "agents", "proven"),
        [
            (f"js={LONG['js']}", ("js",), True),
            (f"js={LONG['js']}", ("py",), False),
            (f"js={LONG['js']}", ("js", "py"), False),
            (f"js={LONG['js']} py={LONG['py']}", ("js", "py"), True),
            (f"js={LONG['js']}", ("vol_trend",), False),
            (f"a={LONG['workers']}", ("vol_trend", "buy_and_hold"), True),
            (f"a={LONG['workers']}", ("js",), False),
            ("", ("js",), False),
            (ALL, (), False),
        ],
    )
    def test_each_agent_needs_its_key(self, signed_with: str, agents: tuple[str, ...], proven: bool) -> None:
        assert prover(settings(ALL))(agents, RAW, signature(signed_with)) is proven

    @given(raw=st.binary(min_size=1, max_size=40), at=st.integers(0, 39), bit=st.integers(0, 7))
    def test_of_bytes_that_were_changed_nothing_is_proven(self, raw: bytes, at: int, bit: int) -> None:
        other = bytearray(raw)
        other[at % len(raw)] ^= 1 << bit
        believes = prover(settings(ALL))
        assert believes(("js",), raw, signature(ALL, raw))
        assert not believes(("js",), bytes(other), signature(ALL, raw))

    @pytest.mark.parametrize("said", [b"", b",", b"\xff", b"0" * 64, b"," * 10_000, b"0" * 100_000])
    def test_no_header_does_any_harm(self, said: bytes) -> None:
        assert not prover(settings(ALL))(("js",), RAW, said)

    def test_who_has_no_keys_believes_nobody_and_signs_nothing(self) -> None:
        assert not prover(settings(""))(("js",), RAW, signature(ALL))
        assert Signer(settings("")).headers(RAW) == []
        assert signature_of([("other", b"x"), (HEADER, b"y")]) == b"y"


class TestKeys:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ("js", "word 1 of WINDVANE_AGENT_KEYS is no AGENT=KEY"),
            (f"js={LONG['js']} a/b={LONG['js']}", "word 2 of WINDVANE_AGENT_KEYS is no AGENT=KEY"),
            ("js=short", "the key of agent js in WINDVANE_AGENT_KEYS has fewer than 16 characters"),
            (f"js={LONG['js']} js={LONG['py']}", "WINDVANE_AGENT_KEYS has two keys of agent js"),
        ],
    )
    def test_what_cannot_be_is_refused_and_no_key_is_said(self, words: str, said: str) -> None:
        with pytest.raises(SettingsError, match=said) as refused:
            settings(words)
        assert not any(key in str(refused.value) for key in (*LONG.values(), "short"))

    def test_they_come_from_the_environment_or_a_file_and_are_never_shown(self, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(ALL)
        for environ in ({"WINDVANE_AGENT_KEYS": ALL}, {"WINDVANE_AGENT_KEYS_FILE": str(file)}):
            loaded = KafkaSettings.load(environ=environ)
            assert keys_by_agent(loaded.agent_keys) == {
                "*": LONG["workers"], "js": LONG["js"], "py": LONG["py"]
            }  # fmt: skip
            assert "***" in repr(loaded)
            assert LONG["js"] not in repr(loaded)
