"""A book stays the same book: digests of 0.1.0 hold, new settings at their defaults are no difference."""

import json

import msgspec
import pytest
from releases import HOME, of_pipeline

from windvane.metamodel.base.config import Costs, TradingConfig, digest
from windvane.streams.codec import from_json
from windvane.streams.events import BookOpened, DeadLetter
from windvane.streams.features_stage import FeaturesStage

TOLD = json.loads((HOME / "settings.json").read_text())
RULE = (
    "a default of what decides results has changed, so books that were opened without the setting mean something "
    "else now: set what new books are to have in metamodel/settings/presets.py, and see docs/upgrading.md"
)


class WiderCosts(Costs, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Costs of a version to come."""

    rebate_bp: float = 0.0


class Wider(TradingConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of a version to come: one more, and one more in a part."""

    ahead: int = 0
    costs: Costs = msgspec.field(default_factory=WiderCosts)


def test_no_default_of_0_1_0_has_changed() -> None:
    """A setting that came later may be there; one of 0.1.0 must mean what it meant."""
    now = json.loads(msgspec.json.encode(TradingConfig(agents=("vol_trend",))))
    for name, wanted in TOLD["defaults"].items():
        parts = wanted.items() if isinstance(wanted, dict) else ()
        found = {part: now[name][part] for part, _ in parts} if isinstance(wanted, dict) else now[name]
        assert found == wanted, f"{name}: {RULE}"


@pytest.mark.parametrize("case", TOLD["digests"], ids=lambda case: case[1][:8])
def test_digests_of_0_1_0_stay_valid(case: tuple[dict[str, object], str]) -> None:
    settings, wanted = case
    assert digest(msgspec.convert(settings, TradingConfig)) == wanted
    assert digest(msgspec.convert(settings, Wider)) == wanted


def test_a_new_setting_counts_where_it_is_not_at_its_default() -> None:
    usual = digest(TradingConfig(agents=("a",)))
    assert digest(Wider(agents=("a",))) == usual
    assert digest(Wider(agents=("a",), costs=WiderCosts(rebate_bp=0.0))) == usual
    others = [
        digest(Wider(agents=("a",), ahead=1)),
        digest(Wider(agents=("a",), ahead=2)),
        digest(Wider(agents=("a",), costs=WiderCosts(rebate_bp=0.5))),
    ]
    assert len({usual, *others}) == 4


def test_an_old_setting_counts_though_it_is_at_its_default() -> None:
    assert digest(TradingConfig(agents=("a",))) != digest(TradingConfig(agents=("a",), capital=2e6))
    again = digest(TradingConfig(agents=("a",), capital=1e6, costs=Costs(fee_bp=1.0)))
    assert again == digest(TradingConfig(agents=("a",)))


def test_a_book_that_0_1_0_opened_is_opened_and_resumed() -> None:
    raws = [r.raw for r in of_pipeline().records["ticks"] if b'"BookOpened"' in r.raw[:30]]
    assert len(raws) == 2
    stage = FeaturesStage(None)
    for raw in raws:
        event = from_json(raw)
        assert isinstance(event, BookOpened)
        again = BookOpened(book=event.book, config=event.config, digest=digest(event.config))
        for opened in (event, again):
            assert not [e for e in stage.step([opened]) if isinstance(e, DeadLetter)]
