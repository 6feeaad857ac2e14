"""What members know beforehand: by the names of agents, whole or in part, and refused where it is not whole."""

import hashlib

import numpy as np
import pytest

from windvane.agents.factory import AGENTS, RULES
from windvane.metamodel.base import weights
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.features.extractor import NAMES
from windvane.metamodel.learning.members import pretrained, prior
from windvane.metamodel.learning.members.contextual import PRECISION
from windvane.metamodel.regimes import model as regime

KNOWN = tuple(AGENTS)


def test_what_ships_is_of_the_factory_and_of_the_classifier_that_ships() -> None:
    known = prior.shipped()
    assert known.agents == KNOWN
    assert known.about["classifier"] == regime.shipped().version
    assert known.normal.tobytes() == known.normal.T.tobytes()
    assert np.linalg.eigvalsh(known.normal).min() > -1e-9
    posterior_means = known.normal[0, 1 + pretrained.FEATURES :][: len(REGIMES)]
    np.testing.assert_allclose(posterior_means.sum(), 1.0, atol=1e-9)  # the constant times a posterior
    for k in range(len(REGIMES)):
        assert np.linalg.eigvalsh(known.moments.second[k]).min() > 0.0


def test_agents_are_known_by_name_in_any_order() -> None:
    order = [3, 0, 8, 5, 7, 1, 4, 2, 6]
    one, other = (
        prior.fitted(prior.shipped(), KNOWN),
        prior.fitted(prior.shipped(), [KNOWN[i] for i in order]),
    )
    np.testing.assert_allclose(other[1][: pretrained.COMMON], one[1][: pretrained.COMMON, order], atol=1e-12)
    moments = prior.simulated(prior.shipped(), [KNOWN[i] for i in order])
    np.testing.assert_array_equal(moments.first, prior.shipped().moments.first[:, order])
    np.testing.assert_array_equal(moments.second, prior.shipped().moments.second[:, order][:, :, order])


def test_of_the_rules_alone_as_much_is_known_as_before_policies_were() -> None:
    """The bytes from which books of the six rules have always begun; they change only with those books' orders."""
    fit, moments = prior.fitted(prior.shipped(), tuple(RULES)), prior.simulated(prior.shipped(), tuple(RULES))
    known = hashlib.sha256()
    for array in (fit.P, fit.B, moments.first, moments.second):
        known.update(array.tobytes())
    assert known.hexdigest() == "0bb61a9c1149eaf01265ec96d92f213188b5161fd652ed8b99daaa1a4e201ab0"


def test_of_strangers_nothing_is_known() -> None:
    P, B, _ = prior.fitted(prior.shipped(), ("one", "two"))
    np.testing.assert_allclose(P, np.eye(len(P)) / PRECISION, rtol=1e-12)
    assert (B == 0.0).all()
    moments = prior.simulated(prior.shipped(), ("one", "two"))
    assert (moments.first == 0.0).all()
    np.testing.assert_array_equal(moments.second, [np.eye(2)] * 7)


def test_a_stranger_changes_nothing_of_what_is_known_of_the_others() -> None:
    some = ("vol_trend", "ema_momentum")
    P, B, _ = prior.fitted(prior.shipped(), some)
    mixed_P, mixed_B, _ = prior.fitted(prior.shipped(), ("vol_trend", "stranger", "ema_momentum"))
    own = [pretrained.COMMON + 3 * block + i for block in range(pretrained.BLOCKS) for i in (0, 2)]
    rows = [*range(pretrained.COMMON), *own]
    np.testing.assert_allclose(mixed_P[np.ix_(rows, rows)], P, atol=1e-15)
    np.testing.assert_allclose(mixed_B[np.ix_(rows, [0, 2])], B, atol=1e-15)
    assert (mixed_B[:, 1] == 0.0).all()
    assert np.abs(B).max() > 1e-3


@pytest.mark.parametrize("d", [1, 7, 40])
def test_inverse(d: int) -> None:
    x = np.random.default_rng(d).standard_normal((3 * d, d))
    A = x.T @ x + np.eye(d)
    found = prior.inverse(A)
    np.testing.assert_allclose(found, np.linalg.inv(A), rtol=1e-9, atol=1e-12)
    assert found.tobytes() == found.T.tobytes()
    np.testing.assert_allclose(prior.product(found, x.T), found @ x.T, rtol=1e-9, atol=1e-12)


def broken(**changes: object) -> bytes:
    known = prior.shipped()
    tensors = {
        "normal": known.normal,
        "moment": known.moment,
        "first": known.moments.first,
        "second": known.moments.second,
    }
    about = dict(known.about)
    for name, value in changes.items():
        if isinstance(value, str):
            about[name] = value
        elif value is None:
            del tensors[name]
        else:
            tensors[name] = np.asarray(value, float)
    return weights.to_bytes(tensors, about)


def test_it_is_read_as_it_was_written() -> None:
    again = prior.load_prior(broken())
    assert again.version == prior.shipped().version
    np.testing.assert_array_equal(again.moment, prior.shipped().moment)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "not safetensors"),
        (broken(model="regime"), "not what members know"),
        (broken(regimes="up,down"), "not what members know"),
        (broken(features=",".join(NAMES[1:22])), "fitted on other features"),
        (broken(agents="one,two"), "needs a tensor normal of shape"),
        (broken(first=None), "needs a tensor first"),
        (broken(first=np.full((7, len(KNOWN)), np.nan)), "first of what members know holds NaN"),
    ],
    ids=["empty", "model", "regimes", "features", "agents", "tensor", "number"],
)
def test_what_is_not_whole_is_refused(raw: bytes, sentence: str) -> None:
    with pytest.raises(WeightsError, match=sentence):
        prior.load_prior(raw)
