"""The regime classifier: equal to torch, the same bits for any cut, causal, and nothing learned from bad rows."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.agents.base import Floats, Ints
from windvane.infra.training.samples import Labelled, labelled
from windvane.metamodel.base import weights
from windvane.metamodel.base.regimes import REGIMES
from windvane.metamodel.base.rows import BAD, GAP, HEARTBEAT, REPEATED
from windvane.metamodel.base.rows import WARMUP as WARMING
from windvane.metamodel.features.extractor import NAMES, WARMUP
from windvane.metamodel.features.scaler import CLIP, FeatureScaler
from windvane.metamodel.regimes.classifier import EVERY, HOLD, MarketRegimeClassifier, shown_labels
from windvane.metamodel.regimes.kernel import KEPT
from windvane.metamodel.regimes.model import TILT, load_model, shipped
from windvane.metamodel.simulation.seeds import VALIDATION

HOME = Path(__file__).with_name("regime_posteriors.json")
TICKS = 3_000
laws = settings(deadline=None, max_examples=25)


@pytest.fixture(scope="module")
def rows() -> Labelled:
    return labelled("standard", TICKS, VALIDATION[0])


@pytest.fixture(scope="module")
def flags() -> Ints:
    return np.zeros(TICKS, np.int64)


@pytest.fixture(scope="module")
def posterior(rows: Labelled, flags: Ints) -> Floats:
    return MarketRegimeClassifier().step(rows.x, flags)


def test_a_posterior_is_one(posterior: Floats) -> None:
    assert posterior.shape == (TICKS, len(REGIMES))
    assert posterior.min() > 0.0
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-12)


def test_before_the_warm_up_it_is_the_prior_then_it_moves_every_fourth_row(posterior: Floats) -> None:
    np.testing.assert_array_equal(posterior[:WARMUP], np.tile(shipped().prior, (WARMUP, 1)))
    moved = np.flatnonzero((np.diff(posterior, axis=0) != 0.0).any(axis=1)) + 1
    np.testing.assert_array_equal(moved, np.arange(WARMUP, TICKS, EVERY))


def test_it_is_torchs_recurrence(rows: Labelled, posterior: Floats) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed: the golden posteriors stand in")
    model = shipped()
    tensors = {name: torch.from_numpy(v).double() for name, v in shipped_tensors().items()}
    units = len(model.network.back)
    gru = torch.nn.GRU(len(model.features), units, batch_first=True).double()
    out = torch.nn.Linear(units, len(REGIMES)).double()
    for module, part in ((gru, "gru."), (out, "out.")):
        module.load_state_dict({n.removeprefix(part): v for n, v in tensors.items() if n.startswith(part)})
    scaler = FeatureScaler(tensors["centre"].numpy(), tensors["spread"].numpy())
    z = scaler.scale(rows.x[WARMUP::EVERY][:, [NAMES.index(name) for name in model.features]])
    with torch.no_grad():
        hidden, _ = gru(torch.from_numpy(z)[None])
        wanted = torch.softmax(out(hidden), -1)[0].numpy()
    np.testing.assert_allclose(posterior[WARMUP::EVERY], wanted, atol=1e-6, rtol=0.0)


def shipped_tensors() -> dict[str, np.ndarray]:
    """The shipped weights as they lie in the package."""
    home = Path(load_model.__code__.co_filename).with_name("regime.safetensors")
    return weights.from_bytes(home.read_bytes()).tensors


def test_posteriors_come_out_as_they_did(posterior: Floats) -> None:
    kept = json.loads(HOME.read_text(encoding="utf-8"))
    assert kept["model"] == shipped().version, (
        "other weights are shipped: run `python tests/metamodel/regimes/test_regime.py`"
    )
    for row, wanted in kept["posterior"].items():
        np.testing.assert_allclose(posterior[int(row)], wanted, atol=1e-9, rtol=0.0)


@laws
@given(cuts=st.lists(st.integers(0, TICKS), max_size=6), bad=st.integers(0, 2**32 - 1))
def test_the_cut_into_calls_changes_no_bit(rows: Labelled, cuts: list[int], bad: int) -> None:
    flags = np.random.default_rng(bad).choice([0, 0, 0, 0, HEARTBEAT, BAD, GAP, WARMING], TICKS)
    whole, parts = MarketRegimeClassifier(), MarketRegimeClassifier()
    wanted = whole.step(rows.x, flags)
    edges = sorted({0, TICKS, *cuts})
    got = [parts.step(rows.x[a:b], flags[a:b]) for a, b in pairwise(edges)]
    assert np.concatenate(got).tobytes() == wanted.tobytes()
    assert parts.info() == whole.info()


@laws
@given(at=st.integers(1, TICKS - 1))
def test_the_future_does_not_matter(rows: Labelled, flags: Ints, posterior: Floats, at: int) -> None:
    changed = rows.x.copy()
    changed[at:] = np.random.default_rng(at).normal(size=changed[at:].shape)
    got = MarketRegimeClassifier().step(changed, flags)
    assert got[:at].tobytes() == posterior[:at].tobytes()
    assert at + EVERY > TICKS or at + EVERY < WARMUP or got[-1].tobytes() != posterior[-1].tobytes()


@pytest.mark.parametrize("at", [1, WARMUP - 1, WARMUP, WARMUP + 1, 1_777, TICKS - 1])
def test_a_snapshot_goes_on_to_the_last_bit(rows: Labelled, flags: Ints, posterior: Floats, at: int) -> None:
    first, second = MarketRegimeClassifier(), MarketRegimeClassifier()
    first.step(rows.x[:at], flags[:at])
    kept = first.state()
    first.step(rows.x[at:], flags[at:])
    second.restore(kept)
    assert second.step(rows.x[at:], flags[at:]).tobytes() == posterior[at:].tobytes()
    assert second.info() == first.info()


@pytest.mark.parametrize("flag", [HEARTBEAT, BAD, GAP, HEARTBEAT | BAD, REPEATED])
def test_a_row_that_brings_nothing_repeats_the_last(rows: Labelled, posterior: Floats, flag: int) -> None:
    at, n = 1_500, 37
    x = np.insert(rows.x, [at] * n, 99.0, axis=0)
    flags = np.insert(np.zeros(TICKS, np.int64), [at] * n, flag)
    got = MarketRegimeClassifier().step(x, flags)
    np.testing.assert_array_equal(got[at : at + n], np.tile(posterior[at - 1], (n, 1)))
    assert np.delete(got, np.arange(at, at + n), axis=0).tobytes() == posterior.tobytes()


def test_what_is_shown_is_the_tilted_best_and_does_not_flicker(posterior: Floats) -> None:
    tilted = posterior / shipped().prior ** TILT
    shown = shown_labels(posterior)
    now = int((shipped().prior ** (1 - TILT)).argmax())
    for row in range(TICKS):
        best = int(tilted[row].argmax())
        if tilted[row, best] > HOLD * tilted[row, now]:
            now = best
        assert shown[row] == now, row
    again = shown_labels(posterior[1_000:], int(shown[999]))
    np.testing.assert_array_equal(again, shown[1_000:])


def test_history_and_stability(rows: Labelled, flags: Ints, posterior: Floats) -> None:
    one = MarketRegimeClassifier(window=300)
    one.step(rows.x, flags)
    shown = shown_labels(posterior)
    moves = np.flatnonzero(np.diff(shown)) + 1
    wanted = [(int(row), REGIMES[shown[row - 1]], REGIMES[shown[row]]) for row in moves]
    assert wanted
    assert one.transitions == wanted[-KEPT:]
    assert one.transition_counts.sum() == len(moves)
    assert one.regime == REGIMES[shown[-1]]
    assert one.confidence == one.posterior[one.regime] == posterior[-1, shown[-1]]
    assert one.stability == pytest.approx((shown[-300:] == shown[-1]).mean())
    assert math.isnan(MarketRegimeClassifier().stability)


def test_one_row_at_a_time(rows: Labelled, posterior: Floats) -> None:
    one = MarketRegimeClassifier()
    shown = shown_labels(posterior)
    for row in range(WARMUP + 50):
        told = one.predict_regime(rows.x[row])
        assert told == (REGIMES[shown[row]], posterior[row, shown[row]])


def test_a_source_without_quotes_and_sizes_is_known_as_one(rows: Labelled, flags: Ints) -> None:
    absent = ["spread_slow", "volume_16_slow", "volume_96_slow"]
    columns = [NAMES.index(name) for name in absent]
    none, far = rows.x.copy(), rows.x.copy()
    none[:, columns] = 0.0
    model = shipped()
    places = [model.features.index(name) for name in absent]
    assert model.network.absent[places].all()
    assert model.network.absent.sum() == len(absent)
    far[:, columns] = model.network.centre[places] - 2 * CLIP * model.network.spread[places]
    a, b = MarketRegimeClassifier().step(none, flags), MarketRegimeClassifier().step(far, flags)
    assert a.tobytes() == b.tobytes()


def remade(**changes: object) -> bytes:
    """The shipped weights with something else in them."""
    tensors, about = shipped_tensors(), dict(shipped().about)
    for name, value in changes.items():
        name = name.replace("__", ".")
        if isinstance(value, str):
            about[name] = value
        elif value is None:
            del tensors[name]
        else:
            tensors[name] = np.asarray(value)
    return weights.to_bytes(tensors, about)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"features": "trend_8,tren_32"}, "tren_32"),
        ({"features": ""}, "features that are not there"),
        ({"regimes": "up,down"}, "other regimes"),
        ({"prior": None}, "prior"),
        ({"out__bias": np.zeros(6)}, r"out.bias of shape \(7,\)"),
        ({"out__bias": np.full(7, np.nan)}, "NaN"),
        ({"prior": np.zeros(7)}, "above 0"),
        ({"gru__weight_hh_l0": None}, "recurrent"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(weights.WeightsError, match=told):
        load_model(remade(**changes))


def test_a_state_of_another_model_is_refused() -> None:
    state = MarketRegimeClassifier().state()
    state["regime.hidden"] = np.zeros(3)
    with pytest.raises(ValueError, match="another regime model"):
        MarketRegimeClassifier().restore(state)
    with pytest.raises(ValueError, match="window is 0"):
        MarketRegimeClassifier(window=0)


def test_the_version_names_the_bytes() -> None:
    assert load_model(remade()).version == shipped().version
    assert load_model(remade(note="x")).version != shipped().version


def write() -> None:
    """The golden posteriors of the weights that are shipped now."""
    made = labelled("standard", TICKS, VALIDATION[0])
    posterior = MarketRegimeClassifier().step(made.x, np.zeros(TICKS, np.int64))
    kept = {row: posterior[row].tolist() for row in (0, WARMUP, 1_000, 2_000, TICKS - 1)}
    HOME.write_text(
        json.dumps({"model": shipped().version, "posterior": kept}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    write()
