"""Where a fill takes only a share of the volume, one order works at a time."""

from round_trace import Trace, ensemble, ready

VOLUME = {"size": 1000.0}


class TestInFlight:
    def test_no_order_is_sent_while_another_works(self) -> None:
        e = ready(ensemble({"delay": 2, "participation": 0.5}), **VOLUME)
        played = Trace(e, [0.5, 0.9, 0.9, 0.9], **VOLUME)
        assert played.orders == {0: 5.0, 2: 4.0}
        assert played.verdicts == [set(), {"in_flight"}, set(), set()]

    def test_without_a_share_orders_follow_each_other(self) -> None:
        played = Trace(ready(ensemble({"delay": 2}), **VOLUME), [0.5, 0.9, 0.9], **VOLUME)
        assert played.orders == {0: 5.0, 1: 4.0}
        assert played.verdicts == [set(), set(), set()]
