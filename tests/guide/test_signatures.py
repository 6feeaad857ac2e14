"""The signatures in the original guide are compared with those of this project."""

import inspect
import re
import typing
from collections.abc import Callable
from typing import Any

import pytest
from known_examples import BLOCKS, SIGNATURES

import windvane
from windvane.metamodel.settings.meta_config import MetaLearningConfig


def _found(name: str) -> Callable[..., Any]:
    owner, _, method = name.rpartition(".")
    if owner == "evaluator":
        owner = "MetaLearningEvaluator"
    return getattr(getattr(windvane, owner) if owner else windvane, method)  # type: ignore[no-any-return]


@pytest.mark.parametrize("title", [t for t in SIGNATURES if t != "MetaLearningConfig"])
def test_signatures_are_those_that_are_known(title: str) -> None:
    owner, seen = "", 0
    for line in BLOCKS[title].splitlines():
        if line.startswith("class "):
            owner = line.removeprefix("class ").rstrip(":") + "."
            continue
        match = re.fullmatch(r"\s*(?:def )?([\w.]+)\((.*)\)(?: -> (\w+))?", line)
        if match is None:
            continue
        seen += 1
        ours = inspect.signature(_found(owner + match[1]))
        wanted = [name.strip() for name in match[2].split(",") if name.strip()]
        parameters = [p for p in ours.parameters.values() if p.name != "self" or "self" in wanted]
        assert [p.name for p in parameters][: len(wanted)] == wanted, line
        for rest in parameters[len(wanted) :]:
            assert rest.default is not inspect.Parameter.empty, f"{line}: {rest.name} is needed, too"
        if match[3]:
            assert match[3].lower() in str(ours.return_annotation).lower(), line
    assert seen == BLOCKS[title].count("(")


def test_parameters_of_the_config_are_those_that_are_known() -> None:
    known: dict[str, Any] = {"List": list}
    exec(BLOCKS["MetaLearningConfig"], known)  # noqa: S102
    theirs, made = known["MetaLearningConfig"], MetaLearningConfig()
    ours = typing.get_type_hints(MetaLearningConfig)
    assert len(theirs.__annotations__) == 7
    for name, kind in theirs.__annotations__.items():
        assert ours[name] == kind, name
        if name in vars(theirs):
            assert getattr(made, name) == getattr(theirs, name), name
