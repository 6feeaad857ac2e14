"""Training from seeds: the same twice, and what ships is worth shipping."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_harness import refusal, windvane

from windvane.infra.training.judge import judge
from windvane.infra.training.regime import FEATURES, Recipe, TrainingError, train_regime
from windvane.infra.training.samples import sequences
from windvane.metamodel.features.extractor import NAMES, WARMUP
from windvane.metamodel.features.scaler import FeatureScaler
from windvane.metamodel.regimes.classifier import EVERY
from windvane.metamodel.regimes.model import load_model, shipped
from windvane.metamodel.simulation.seeds import VALIDATION

SMALL = Recipe(seeds=range(8), ticks=4_608, hidden=16, epochs=6, batch=4, length=64)


class TestSamples:
    def test_sequences_are_the_rows_that_the_classifier_updates_at(self) -> None:
        made = sequences(("trend_32", "spread_slow"), [3], 1_000, FeatureScaler())
        assert made.z.shape == (1, len(range(WARMUP, 1_000, EVERY)), 2)
        assert np.abs(made.z).max() <= 5.0
        assert set(np.unique(made.y)) <= set(range(7))


class TestRecipe:
    def test_a_classifier_reads_features_that_exist(self) -> None:
        assert set(FEATURES) <= set(NAMES)
        assert shipped().features == FEATURES
        assert len(shipped().network.back) == Recipe().hidden

    def test_a_recipe_without_a_step_is_refused(self) -> None:
        with pytest.raises(TrainingError, match="give as many seeds as a batch"):
            train_regime(replace(SMALL, seeds=range(2)))


class TestCommand:
    def test_without_torch_one_sentence_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        with pytest.raises(TrainingError, match=r"install windvane\[train\]"):
            train_regime(SMALL)

    def test_the_command_refuses_what_it_cannot_do(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        out = tmp_path / "regime.safetensors"
        assert "--epochs is 0: give 1 or more" in refusal(
            windvane("train", "regime", "--epochs", 0, "--out", out)
        )
        assert "give --out too" in refusal(windvane("train", "regime", "--epochs", 1))
        monkeypatch.setitem(sys.modules, "torch", None)
        assert "install windvane[train]" in refusal(windvane("train", "regime", "--out", out))
        assert not out.exists()


class TestRegimeTraining:
    @pytest.mark.slow
    def test_training_gives_the_same_bytes_twice_and_learns(self) -> None:
        pytest.importorskip("torch", reason="torch is not installed")
        told: list[int] = []
        raw = train_regime(SMALL, told.append)
        assert told == list(range(1, SMALL.total + 1))
        assert train_regime(SMALL) == raw
        assert train_regime(replace(SMALL, seed=1)) != raw
        model = load_model(raw)
        found = judge("standard", VALIDATION[:2], 8_000, 512, model)
        learned, drawn = found["classifier"].figures(), found["untrained"].figures()
        assert learned["accuracy"] > drawn["accuracy"] + 0.2

    def test_what_ships_tells_regimes_of_markets_it_never_saw(self) -> None:
        found = {name: s.figures() for name, s in judge("standard", VALIDATION[:2], 40_000).items()}
        assert found["classifier"]["macro_f1"] >= 0.65
        assert found["classifier"]["accuracy"] >= 0.7
        assert found["classifier"]["switches_per_1000"] <= 8
        assert found["untrained"]["macro_f1"] < 0.4
        assert found["majority"]["macro_f1"] < 0.2
