"""The checks by which an installation tests itself; they need no source tree."""

from windvane.infra.dev.selfcheck import run_comprehensive_tests, run_integration_tests

__all__ = ["run_comprehensive_tests", "run_integration_tests"]
