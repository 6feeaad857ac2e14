"""No seed is used twice: what is trained on is never tested on."""

from itertools import combinations

import pytest

from windvane.infra.evaluation import calibration
from windvane.infra.training import simulated
from windvane.infra.training.regime import Recipe
from windvane.metamodel.simulation import seeds


@pytest.mark.parametrize(("one", "other"), list(combinations(sorted(seeds.ALL), 2)))
def test_no_two_sets_share_a_seed(one: str, other: str) -> None:
    assert not set(seeds.ALL[one]) & set(seeds.ALL[other])


def test_every_set_is_named_and_large_enough() -> None:
    named = {id(value) for value in vars(seeds).values() if isinstance(value, range)}
    assert named == {id(value) for value in seeds.ALL.values()}
    assert len(seeds.TRAINING) >= 160
    assert min(len(seeds.ALL[name]) for name in ("validation", "reported", "test")) == 24


def test_what_trains_takes_its_seeds_from_there() -> None:
    assert Recipe().seeds is seeds.TRAINING
    assert simulated.SCALER is seeds.SCALER
    assert calibration.CALIBRATION is seeds.CALIBRATION
