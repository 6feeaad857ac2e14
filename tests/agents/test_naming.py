"""The words by which agents are named, what they stand for here, and what is recorded of them."""

from collections.abc import Callable
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import guests
from windvane.agents import factory
from windvane.agents.errors import WindvaneError
from windvane.agents.factory import AGENTS, create_agents
from windvane.agents.guest import GuestAgent, GuestError
from windvane.agents.naming import each_named, is_plain, named
from windvane.agents.policies import register_policies
from windvane.agents.roster import check_opened, check_recorded, foreign, recorded_words, roster
from windvane.agents.rules import DonchianBreakout, VolTrend

ROWS = np.zeros((5, 50)), np.array([1.0, 2.0, 2.0, 1.5, 3.0]), np.array([1, 1, 1, 0, 1])


class TestWords:
    @pytest.mark.parametrize(
        ("word", "name", "origin"),
        [
            ("vol_trend", "vol_trend", "vol_trend"),
            ("slow=vol_trend", "slow", "vol_trend"),
            (" mine = pkg.mod:Class ", "mine", "pkg.mod:Class"),
            ("pol=/srv/policies/a=b", "pol", "/srv/policies/a=b"),
            ("js.v2-x=remote", "js.v2-x", "remote"),
        ],
    )
    def test_a_word_is_a_name_and_where_it_comes_from(self, word: str, name: str, origin: str) -> None:
        assert named(word) == (name, origin)

    @pytest.mark.parametrize(
        "word", ["", "=vol_trend", "a:b", "pkg.mod:Class", "a/b=remote", ".a", "-x", "ä", "a" * 65]
    )
    def test_what_is_no_plain_name_is_refused(self, word: str) -> None:
        with pytest.raises(WindvaneError, match="has no plain name: write NAME or NAME=module:Class"):
            named(word)

    @given(st.text(max_size=80))
    def test_no_plain_name_holds_what_could_be_code_or_a_path(self, text: str) -> None:
        assert not is_plain(text) or not set(text) - set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
        )

    def test_one_id_stands_for_one_agent(self) -> None:
        with pytest.raises(WindvaneError, match="'a' is named twice"):
            each_named(["a=vol_trend", "a=buy_and_hold"])


class TestBinding:
    def test_a_built_in_under_another_id_is_the_same_rule(self) -> None:
        slow, plain = create_agents(["slow=vol_trend", "vol_trend"])
        assert (slow.name, plain.name, type(slow), VolTrend.name) == (
            "slow",
            "vol_trend",
            VolTrend,
            "vol_trend",
        )

    def test_a_class_that_is_built_in_is_that_kind_wherever_it_is_named(self) -> None:
        found = roster(["mine=windvane.agents.rules:DonchianBreakout"])
        assert found.kinds == ("donchian_breakout",)
        assert type(create_agents(["mine=windvane.agents.rules:DonchianBreakout"])[0]) is DonchianBreakout

    def test_a_class_of_ones_own_goes_by_its_id_kind_and_version(self) -> None:
        found = roster(["ema_momentum", "mine=guests:Breakout", "js=remote", "far=class"])
        assert found.recorded() == {
            "agents": ("ema_momentum", "mine", "js", "far"),
            "kinds": ("ema_momentum", "class", "remote", "class"),
            "versions": ("1", "2024.1", "", ""),
        }
        assert foreign(found.ids, found.kinds) == ("mine", "js", "far")
        assert "guests" not in repr(recorded_words(found.ids, found.kinds))

    def test_built_in_agents_alone_need_no_kinds(self) -> None:
        assert roster(AGENTS).recorded() == {"agents": tuple(AGENTS), "kinds": (), "versions": ()}

    @pytest.mark.parametrize(
        ("word", "said"),
        [
            ("vol_trnd", "unknown agent 'vol_trnd': did you mean 'vol_trend'"),
            ("remote", "remote is a kind of agents: give the agent a name, as in NAME=remote"),
            (
                "a=vol_trnd",
                "policy vol_trnd: it is no folder: .* as the name of an agent it is unknown, did you mean 'v",
            ),
            (
                "a=./trend",
                "policy trend: it is no folder: give one that `windvane train",
            ),
            ("a=guests:Nobody", "module guests has no class Nobody"),
            ("a=guests:ABROAD", "module guests has no class ABROAD"),
            ("a=no_such_module:X", "no_such_module:X cannot be imported .ModuleNotFoundError"),
            ("a=guests:Stranger", "agent a is Stranger: derive its class from windvane.Agent"),
            ("a=guests:Broken", "agent a cannot be made .RuntimeError: no licence.: mend its class"),
            ("a=", "says nothing after the ="),
        ],
    )
    def test_what_cannot_be_is_refused_at_the_start_in_one_sentence(self, word: str, said: str) -> None:
        with pytest.raises(WindvaneError, match=said) as refused:
            roster([word])
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize("word", ["js=remote", "far=class", "pol=policy"])
    def test_who_is_made_elsewhere_is_not_made_here(self, word: str) -> None:
        with pytest.raises(WindvaneError, match="is made elsewhere"):
            create_agents([word])

    def test_a_folder_goes_to_whoever_reads_policies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("windvane.agents.policies._LOADERS", [])
        asked: list[str] = []

        def load(folder: str) -> guests.Drift:
            asked.append(folder)
            return guests.Drift()

        register_policies(load)
        found = roster(["pol=policies/trend"])
        assert (found.kinds, found.versions, set(asked)) == (("policy",), ("3",), {"policies/trend"})


class TestInstalled:
    @pytest.fixture(autouse=True)
    def package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        points = {
            name: EntryPoint(name, target, "windvane.agents")
            for name, target in (
                ("drift", "guests:Drift"),
                ("vol_trend", "guests:Drift"),
                ("gone", "no_such:X"),
            )
        }
        monkeypatch.setattr(factory, "installed", lambda: points)

    def test_a_package_brings_an_agent_by_its_name(self) -> None:
        found = roster(["drift", "again=drift"])
        assert found.recorded() == {
            "agents": ("drift", "again"), "kinds": ("drift", "drift"), "versions": ("3", "3")
        }  # fmt: skip

    def test_a_built_in_keeps_its_name(self) -> None:
        assert type(create_agents(["vol_trend"])[0]) is VolTrend

    def test_one_that_cannot_be_imported_is_refused(self) -> None:
        with pytest.raises(GuestError, match=r"agent gone cannot be made .ModuleNotFoundError"):
            roster(["gone"])

    def test_a_near_name_is_among_those_that_are_installed(self) -> None:
        with pytest.raises(WindvaneError, match="did you mean 'drift'"):
            roster(["drfit"])


class TestGuests:
    def guest(self, kind: Callable[[], object]) -> GuestAgent:
        return GuestAgent("mine", kind)

    def test_it_answers_as_the_agent_does(self) -> None:
        for mine, own in zip(
            self.guest(guests.Drift).propose(*ROWS), guests.Drift().propose(*ROWS), strict=True
        ):
            assert (mine == own).all()
            assert mine.dtype == own.dtype

    def test_it_changes_nothing_that_others_read(self) -> None:
        rows = tuple(column.copy() for column in ROWS)
        self.guest(guests.Vandal).propose(*rows)
        assert all((a == b).all() for a, b in zip(rows, ROWS, strict=True))

    @pytest.mark.parametrize(
        ("kind", "said"),
        [
            (guests.Greedy, "agent mine proposes a target of 2.0: give -1 to 1"),
            (guests.Unwell, "agent mine cannot propose .KeyError: 'trend"),
            (guests.Short, "answers 5 rows with arrays of shapes"),
        ],
    )
    def test_an_answer_that_cannot_be_is_refused(self, kind: type, said: str) -> None:
        with pytest.raises(GuestError, match=said) as refused:
            self.guest(kind).propose(*ROWS)
        assert "\n" not in str(refused.value)

    def test_a_state_that_cannot_be_stored_is_refused(self) -> None:
        with pytest.raises(GuestError, match="has a state that cannot be stored"):
            self.guest(guests.Wordy).state()

    def test_another_state_is_refused(self) -> None:
        with pytest.raises(GuestError, match=r"agent mine cannot go on from its state .KeyError"):
            self.guest(guests.Drift).restore({})


class TestRecorded:
    @pytest.mark.parametrize("word", ["mine=guests:Drift", "mine=./folder", "mine=a/b"])
    def test_no_file_names_code(self, word: str) -> None:
        with pytest.raises(WindvaneError, match="names the code of agent mine"):
            check_recorded(["vol_trend", word], "settings.json")

    def test_kinds_may_be_named(self) -> None:
        check_recorded(["vol_trend", "mine=class", "js=remote", "slow=vol_trend"], "settings.json")

    def test_an_id_without_a_kind_has_to_be_built_in(self) -> None:
        check_opened(["vol_trend"], [])
        check_opened(["mine"], ["class"])
        with pytest.raises(WindvaneError, match="unknown agent 'mine'"):
            check_opened(["mine"], [])
