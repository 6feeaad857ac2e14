"""The predictors: what they say, what they refuse, and how weights are swapped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windvane.metamodel.base import weights
from windvane.metamodel.base.config import ConfigError, TradingConfig, WeighingConfig
from windvane.metamodel.base.weights import WeightsError
from windvane.metamodel.learning.manager import MetaLearningEnsembleManager
from windvane.metamodel.learning.members import MEMBERS, predictor

FEATURES, AGENTS, ROWS = 50, 3, 700
LAST = MEMBERS.index("predictor")


def tensors(seed: int, agents: int = AGENTS, features: int = FEATURES) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    wanted = predictor.shapes(features, agents)
    return {n: (0.2 * rng.standard_normal(shape)).astype(np.float16) for n, shape in wanted.items()}


def raw(seed: int) -> bytes:
    return weights.to_bytes(tensors(seed), {})


def inputs(seed: int, agents: int = AGENTS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(FEATURES + predictor.REGIMES).astype(np.float32)
    return common, rng.standard_normal((agents, predictor.OWN)).astype(np.float32)


def said(layers: predictor.Layers, common: np.ndarray, own: np.ndarray) -> np.ndarray:
    mu, scratch = np.empty(len(own)), predictor.Scratch.new(len(common) - predictor.REGIMES, len(own))
    predictor.forward(layers, scratch._replace(common=common, own=own), mu)
    return mu


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_the_kernel_says_what_plain_arithmetic_says(seed: int, agents: int) -> None:
    own_weights = tensors(seed, agents)
    layers = predictor.load(weights.to_bytes(own_weights, {}), FEATURES, agents)
    common, own = inputs(seed, agents)
    wide = {name: value.astype(np.float64) for name, value in own_weights.items()}
    for i in range(agents):
        h = np.concatenate([common, own[i]]).astype(np.float64)
        h = np.maximum(h @ wide["w1"][i] + wide["b1"][i], 0.0)
        h = np.maximum(h @ wide["w2"][i] + wide["b2"][i], 0.0)
        wanted = (h @ wide["w3"][i] + wide["b3"][i]) / predictor.SCALE
        assert said(layers, common, own)[i] == pytest.approx(wanted, abs=1e-5)


def test_the_kernel_says_what_torch_says() -> None:
    pytest.importorskip("torch", reason="torch is not installed: plain arithmetic stands in")
    from windvane.infra.training.predictor import forward

    layers = predictor.load(raw(1), FEATURES, AGENTS)
    rows = [inputs(seed) for seed in range(50)]
    wanted = forward(tensors(1), np.stack([c for c, _ in rows]), np.stack([o for _, o in rows]))
    got = np.column_stack([said(layers, c, o) for c, o in rows])
    np.testing.assert_allclose(got, wanted, rtol=0.0, atol=1e-5)
    assert np.ptp(wanted) > 0.1


def test_an_agent_is_judged_alone() -> None:
    common, own = inputs(3)
    layers = predictor.load(raw(2), FEATURES, AGENTS)
    before = said(layers, common, own)
    own[1] += 1.0
    after = said(layers, common, own)
    assert after[1] != before[1]
    assert after[[0, 2]].tobytes() == before[[0, 2]].tobytes()


def broken(name: str, value: float | None, shape: tuple[int, ...] | None = None) -> bytes:
    changed = tensors(1)
    if shape is not None:
        changed[name] = np.zeros(shape, np.float16)
    elif value is None:
        del changed[name]
    else:
        changed[name].reshape(-1)[0] = value
    return weights.to_bytes(changed, {})


def overflowing() -> bytes:
    return weights.to_bytes({n: np.full(v.shape, 3e38, np.float32) for n, v in tensors(1).items()}, {})


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "not safetensors"),
        (raw(1)[:-1], "not safetensors|outside of the data"),
        (broken("w2", None), "needs a tensor w2"),
        (broken("b3", 0.0, (AGENTS + 1,)), "needs a tensor b3"),
        (broken("w1", np.nan), "w1 of the predictor holds NaN or inf"),
        (broken("w3", np.inf), "w3 of the predictor holds NaN or inf"),
        (overflowing(), "canary"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_and_the_old_stay(bad: bytes, reason: str) -> None:
    m = manager()
    m.swap_predictor(raw(7))
    before = m.learner.learned.predictor.layers.w1.copy()
    m.swap_predictor(raw(8))
    kept = m.learner.learned.predictor.layers.w1.copy()
    with pytest.raises(WeightsError, match=reason):
        m.swap_predictor(bad)
    np.testing.assert_array_equal(m.learner.learned.predictor.layers.w1, kept)
    assert m.roll_back()  # what was refused left no trace: back to what was there before the kept ones
    np.testing.assert_array_equal(m.learner.learned.predictor.layers.w1, before)


def manager(
    *, retraining: bool = True, only: bool = False, features: int = FEATURES, history: int = 20
) -> MetaLearningEnsembleManager:
    prior = tuple(float(i == LAST) for i in range(len(MEMBERS))) if only else WeighingConfig().prior
    config = WeighingConfig(
        retraining=retraining, prior=prior, features=features, agent_history_features=history
    )
    return MetaLearningEnsembleManager([f"a{i}" for i in range(AGENTS)], config)


def rows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "x": rng.standard_normal((ROWS, FEATURES)),
        "mid": 9e3 * np.exp(np.cumsum(2e-3 * rng.standard_normal(ROWS))),
        "target": rng.uniform(-1.0, 1.0, (ROWS, AGENTS)),
        "cost": np.full(ROWS, 1e-4),
        "warm": (np.arange(ROWS) >= 50).astype(np.int64),
        "regime": rng.dirichlet(np.ones(predictor.REGIMES), ROWS),
    }


def played(m: MetaLearningEnsembleManager, start: int, stop: int, step: int) -> np.ndarray:
    given_rows = rows()
    return np.concatenate(
        [
            m.step(**{name: value[at : min(stop, at + step)] for name, value in given_rows.items()})
            for at in range(start, stop, step)
        ]
    )


def test_until_it_is_trained_the_member_is_equal_weights() -> None:
    m = manager(only=True)
    np.testing.assert_allclose(played(m, 0, 300, 300), 1.0 / AGENTS, atol=1e-12)
    m.swap_predictor(raw(1))
    assert np.ptp(played(m, 300, 600, 300)) > 0.05


def test_not_retrained_it_is_no_member_and_takes_no_room() -> None:
    m = manager(retraining=False)
    played(m, 0, 200, 200)
    assert m.member_weights["predictor"] == 0.0
    assert m.learner.learned.predictor.layers.w1.size == 0
    with pytest.raises(WeightsError, match="switch retraining on"):
        m.swap_predictor(raw(1))


@pytest.mark.parametrize(("features", "unseen", "seen"), [(21, 21, 20), (49, 49, 48), (75, None, 49)])
def test_it_reads_the_features_that_were_chosen(features: int, unseen: int | None, seen: int) -> None:
    found = {}
    for changed in (None, unseen, seen):
        m, columns = manager(only=True, features=features), rows()
        m.swap_predictor(weights.to_bytes(tensors(1, features=features), {}))
        if changed is not None:
            columns["x"][:, changed] += 1.0
        found[changed] = m.step(**columns).tobytes()
    assert found[seen] != found[None]
    assert found[unseen] == found[None]
    with pytest.raises(WeightsError, match=f"w1 of shape .*{features + 12}"):
        manager(features=features).swap_predictor(raw(1))


def test_above_fifty_it_reads_slow_averages_too() -> None:
    layers = tensors(1, features=60)
    layers["w1"][:, :50] = 0.0
    found = []
    for shift in (0.0, 1.0):
        m, columns = manager(only=True, features=60), rows()
        m.swap_predictor(weights.to_bytes(layers, {}))
        columns["x"][:400, 5] += shift
        found.append(m.step(**columns))
    assert (found[0][500:] != found[1][500:]).any()  # what was there a hundred rows ago is not forgotten


def test_how_long_it_remembers_scores() -> None:
    usual, short = manager(only=True), manager(only=True, history=2)
    for m in (usual, short):
        m.swap_predictor(raw(1))
    assert played(usual, 0, ROWS, ROWS).tobytes() != played(short, 0, ROWS, ROWS).tobytes()
    for own, learned in zip(
        usual.learner.memory.predictor, (usual.learner.memory.fast, usual.learner.memory.slow), strict=True
    ):
        np.testing.assert_array_equal(own, learned)


@pytest.mark.parametrize("step", [1, 7, 64, 333])
def test_batches_do_not_matter(step: int) -> None:
    one, other = manager(), manager()
    for m in (one, other):
        m.swap_predictor(raw(1))
    assert played(one, 0, ROWS, ROWS).tobytes() == played(other, 0, ROWS, step).tobytes()


def test_a_roll_back_is_as_if_there_had_been_no_swap() -> None:
    plain, back = manager(), manager()
    for m in (plain, back):
        m.swap_predictor(raw(1))
        played(m, 0, 300, 300)
    back.swap_predictor(raw(2))
    assert back.roll_back()
    assert not back.roll_back()  # one step back, not two
    assert played(plain, 300, ROWS, 300).tobytes() == played(back, 300, ROWS, 300).tobytes()


def test_a_sleeper_weighs_nothing() -> None:
    from windvane.metamodel.learning import learner

    m = manager(only=True)
    m.swap_predictor(raw(1))
    r, awake = rows(), np.array([1, 0, 1])
    for t in range(300):
        learner.learn(m.learner, m.rules, r["mid"][t], 1e-4, t >= 50, awake)
        learner.weigh(m.learner, m.rules, r["x"][t], r["regime"][t], r["target"][t], t >= 50, awake)
    assert m.learner.learned.w[LAST, 1] == 0.0
    assert m.learner.learned.w[LAST].sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"meta_lookback": 7}, "meta_lookback is 7: give 8 to 20000 samples"),
        ({"meta_batch_size": 0}, "meta_batch_size is 0: give 1 to 4096 samples"),
        ({"meta_epochs": 0}, "meta_epochs is 0: give 1 to 1000"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, int], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        WeighingConfig(**wrong)  # type: ignore[arg-type]


def test_more_agents_than_a_record_can_hold_are_not_retrained() -> None:
    names = tuple(f"a{i}" for i in range(13))
    TradingConfig(agents=names)
    with pytest.raises(ConfigError, match="13 agents are too many to retrain: give 12 at most"):
        TradingConfig(agents=names, weighing=WeighingConfig(retraining=True))
