"""Weights that were learned beside policies of their own go into books that have these policies, and into no other."""

import pytest

from some_policy import form, layers
from windvane.infra.policies.folder import packed, unpacked
from windvane.infra.training_sessions.checkpoints import Checkpoint
from windvane.metamodel.base.config import TradingConfig
from windvane.metamodel.base.weights import WeightsError

POLICY = packed(layers((51, 16, 8, 3), 0, 0), form())
VERSION = unpacked(POLICY).version
CHECKPOINT = Checkpoint(b"", {}, policies={"dqn": POLICY})


def book(*agents: str, kinds: tuple[str, ...] = (), versions: tuple[str, ...] = ()) -> TradingConfig:
    return TradingConfig(agents=agents, kinds=kinds, versions=versions)


def test_a_book_of_these_policies_takes_them() -> None:
    kinds, versions = ("ema_momentum", "policy"), ("1", VERSION)
    CHECKPOINT.refuse_strangers("book", book("ema_momentum", "dqn", kinds=kinds, versions=versions))
    Checkpoint(b"", {}).refuse_strangers("book", book("ema_momentum"))


@pytest.mark.parametrize(
    ("config", "has"),
    [
        (book("ema_momentum"), "no such agent"),
        (book("ema_momentum", "dqn"), "another agent of that name"),
        (
            book("ema_momentum", "dqn", kinds=("ema_momentum", "policy"), versions=("1", "1-0123456789ab")),
            "1-0123456789ab",
        ),
    ],
)
def test_another_book_is_told_what_it_lacks(config: TradingConfig, has: str) -> None:
    with pytest.raises(
        WeightsError, match=f"policy of its own, dqn {VERSION}, and book book has {has}: open"
    ):
        CHECKPOINT.refuse_strangers("book", config)
