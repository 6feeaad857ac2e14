"""The checks by which an installation tests itself, and people their own agents; they need no source tree."""

from collections.abc import Callable

from windvane.agents.base import Agent
from windvane.agents.guest import GuestAgent
from windvane.infra.dev.agent_laws import Verdict, verdicts
from windvane.infra.dev.selfcheck import run_comprehensive_tests, run_integration_tests

__all__ = ["agent_laws", "run_comprehensive_tests", "run_integration_tests"]


def agent_laws(make: Callable[[], Agent]) -> list[Verdict]:
    """Try every law of agents on one, on a simulated market; make: its class, or what makes it anew.

    Returns a verdict for each law: `law` is its name, `broken` is "" where it is kept and else says how it is broken.
    """
    return list(verdicts(lambda: GuestAgent("agent", make)))
