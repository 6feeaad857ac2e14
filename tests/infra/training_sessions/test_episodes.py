"""Episodes as a session plays them, and the self-check that plays a few."""

import pytest

from windvane.infra.dev.selfcheck import a_session_trains_saves_and_is_evaluated
from windvane.infra.training_sessions import evaluation
from windvane.infra.training_sessions.episodes import ensemble, environment, play
from windvane.metamodel.settings.presets import made


def test_stability_is_the_classifiers() -> None:
    config = made(custom_params={"regime_history_window": 150})
    env = environment(config)
    whole = ensemble(config, env)
    told = play(whole, env, 8, 700)
    assert evaluation.stability(told.label, 150)[-1] == pytest.approx(told.stability)


def test_the_self_check_passes_where_torch_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("dev.selfcheck", "training.trainer"):
        monkeypatch.setattr(f"windvane.infra.{module}.has_torch", lambda: False)
    a_session_trains_saves_and_is_evaluated()
