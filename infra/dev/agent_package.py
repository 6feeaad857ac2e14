"""A package to start an agent from: one module, its entry point, and a test that tries every law of agents on it."""

import keyword
from pathlib import Path

from windvane.agents.errors import WindvaneError
from windvane.agents.factory import AGENTS
from windvane.agents.naming import FOREIGN

_PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "An agent for Windvane"
requires-python = ">=3.11"
dependencies = ["windvane", "numpy"]

[project.entry-points."windvane.agents"]
{name} = "{name}:{kind}"

[tool.setuptools]
py-modules = ["{name}"]
"""

_MODULE = '''\
"""An agent that goes with the price while it is above its own slow average."""

import math

import numpy as np

from windvane import Agent, Proposal

SPAN = 48


class {kind}(Agent):
    """Proposes a position in proportion to how far the price is above its average of 48 rows, in log terms."""

    name = "{name}"
    version = "1"  # recorded beside what it proposes: count it up when the proposals change
    warmup = SPAN

    def __init__(self):
        self.memory = np.zeros(3)  # rows seen, average of log prices, last target: all that is remembered

    def propose(self, x, price, good):
        """Step through n rows: x (n, 50) features, price (n,), good (n,) 0 where a row brings nothing new."""
        target, action, confidence = np.zeros(len(price)), np.zeros(len(price), np.int64), np.zeros(len(price))
        for t in range(len(price)):
            before = self.memory[2]
            if good[t]:
                confidence[t] = self.step(math.log(price[t]))
            target[t] = self.memory[2]
            action[t] = int(np.sign(target[t] - before))
        return Proposal(target, action, confidence)

    def step(self, level):
        """Take in one log price, move the target, and return the confidence in it, from 0 to 1."""
        count, average, _ = self.memory
        count += 1.0
        average = level if count == 1.0 else average + 2.0 / (SPAN + 1.0) * (level - average)
        wanted = math.tanh(50.0 * (level - average)) if count > SPAN else 0.0
        self.memory[:] = count, average, wanted
        return abs(wanted)

    def state(self):
        """What `propose` remembers, as copies."""
        return {{"memory": self.memory.copy()}}

    def restore(self, state):
        """Go on from what `state` returned."""
        self.memory = state["memory"].copy()
'''

_TEST = '''\
"""The agent keeps what Windvane asks of every agent."""

import pytest

from windvane.testing import agent_laws

from {name} import {kind}


@pytest.mark.parametrize("verdict", agent_laws({kind}), ids=lambda verdict: verdict.law)
def test_law(verdict):
    assert verdict.broken == ""
'''

_README = """\
# {name}

    pip install -e .
    windvane agents check {name}
    pytest
    windvane backtest bars.csv --agents ema_momentum,vol_trend,{name} --retraining off

Without installing it, in this folder: `--agents ema_momentum,{name}={name}:{kind}`.
"""


def write_package(name: str, parent: Path) -> list[Path]:
    """Write PARENT/NAME with an agent of that name; returns the files.

    Raises WindvaneError where the name cannot be that of a module and an agent, or the folder is there.
    """
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii() or name != name.lower():
        raise WindvaneError(
            f"{name!r} cannot name a module: give small letters, digits and _, such as my_trend"
        )
    if name in AGENTS or name in FOREIGN or name == "windvane":
        raise WindvaneError(f"{name} is a name of Windvane's own: give the agent another")
    folder = parent / name
    if folder.exists():
        raise WindvaneError(f"{folder} is there already: give another name, or remove it")
    kind = "".join(part.capitalize() for part in name.split("_"))
    texts = {
        "pyproject.toml": _PYPROJECT,
        f"{name}.py": _MODULE,
        f"test_{name}.py": _TEST,
        "README.md": _README,
    }
    folder.mkdir(parents=True)
    for file, text in texts.items():
        (folder / file).write_text(text.format(name=name, kind=kind))
    return [folder / file for file in texts]
