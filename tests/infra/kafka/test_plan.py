"""What the word of `windvane worker` makes a worker run."""

from pathlib import Path

import pytest

from windvane.agents.errors import WindvaneError
from windvane.infra.kafka.broker.settings import KafkaSettings, partition_of
from windvane.infra.kafka.broker.signing import sign
from windvane.infra.kafka.broker.snapshots import FolderStore, TopicStore
from windvane.infra.kafka.worker.plan import agents_of, plan_of
from windvane.metamodel.base.config import ConfigError
from windvane.streams.events import Control

SETTINGS = KafkaSettings(prefix="p", control_key="the key of the tests, no secret")


class TestPlanOf:
    def test_names_of_groups_states_and_layouts_are_those_that_are_stored(self) -> None:
        plan = plan_of("ensemble", SETTINGS, 4, None)
        assert (plan.name, plan.group, plan.layout) == ("ensemble", "p.ensemble", "p.ensemble of 4")
        of_agents = plan_of("proposals:vol_trend,buy_and_hold", SETTINGS, 4, None)
        assert of_agents.name == "proposals.95aec9bf"
        assert of_agents.stage.name == "proposals"

    def test_the_order_of_agents_and_a_name_given_twice_make_no_other_group(self) -> None:
        words = ("vol_trend,buy_and_hold", "buy_and_hold, vol_trend", "vol_trend,buy_and_hold,vol_trend,")
        assert len({plan_of(f"proposals:{word}", SETTINGS, 4, None).group for word in words}) == 1

    def test_the_ensemble_alone_writes_in_transactions_and_feedback_alone_is_patient(self) -> None:
        plans = [plan_of(word, SETTINGS, 4, None) for word in ("features", "ensemble", "feedback")]
        assert [plan.stage.transactional for plan in plans] == [False, True, False]
        assert [plan.stage.patient for plan in plans] == [False, False, True]

    def test_states_go_to_the_folder_that_is_given_and_to_a_topic_without_one(self, tmp_path: Path) -> None:
        assert isinstance(plan_of("features", SETTINGS, 4, tmp_path).store, FolderStore)
        assert isinstance(plan_of("features", SETTINGS, 4, None).store, TopicStore)

    @pytest.mark.parametrize("word", ["", "feature", "features:vol_trend"])
    def test_what_is_no_stage_is_refused_with_those_that_are(self, word: str) -> None:
        with pytest.raises(ConfigError, match="give features, proposals, feedback, ensemble, the agents as"):
            plan_of(word, SETTINGS, 4, None)


class TestAgentsOf:
    def test_spaces_empty_words_and_copies_are_dropped(self) -> None:
        assert agents_of(" vol_trend ,,buy_and_hold,vol_trend").ids == ("vol_trend", "buy_and_hold")

    def test_an_unknown_agent_gets_the_nearest(self) -> None:
        with pytest.raises(WindvaneError, match="did you mean 'vol_trend'"):
            agents_of("vol_trnd")

    def test_no_agent_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="no agent is named"):
            agents_of(" , ")


class TestChecks:
    def test_a_place_owns_the_books_of_its_partition_and_believes_the_key_of_its_settings(self) -> None:
        book = "main"
        here = partition_of(book, 4)
        plan = plan_of("ensemble", SETTINGS, 4, None)
        assert plan.checks(here).owns(book)
        assert not plan.checks((here + 1) % 4).owns(book)
        control = Control(book=book, number=1, action="halt", effective_from=0)
        signed = sign(control, b"the key of the tests, no secret", "p")
        assert plan.checks(here).signed(signed)
        assert not plan.checks(here).signed(sign(control, b"the key of the tests, no secret", "q"))
        assert not plan.checks(here).signed(control)
