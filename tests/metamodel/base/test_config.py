"""Settings that cannot be are refused with what would be valid."""

from typing import Any

import pytest

from windvane.metamodel.base.config import SECOND, ConfigError, TradingConfig, digest


class TestTradingConfig:
    @pytest.mark.parametrize(
        ("setting", "value", "sentence"),
        [
            ("round_timeout", 0, "give ns above 0, up to an hour"),
            ("round_timeout", 3601 * SECOND, "give ns above 0, up to an hour"),
            ("quorum_lag", 0, "give 1 to 16384 rows"),
            ("quorum_lag", 16_385, "give 1 to 16384 rows"),
            ("closing", "soon", "give one of lockstep, timed"),
            ("fills", "venue", "no stage reads a venue's fills yet, so give paper, or leave it out"),
            ("fills", "", "give paper"),
        ],
    )
    def test_how_a_book_is_run_is_checked(self, setting: str, value: Any, sentence: str) -> None:
        with pytest.raises(ConfigError, match=f"^{setting} is {value!r}: {sentence}$"):
            TradingConfig(agents=("a",), **{setting: value})


class TestDigest:
    def test_a_book_that_closes_otherwise_has_another_digest(self) -> None:
        usual = {"agents": ("a",), "closing": "timed"}
        found = {
            digest(TradingConfig(**usual | more)) for more in ({}, {"round_timeout": 1}, {"quorum_lag": 1})
        }
        assert len(found) == 3
