"""Checks that an installation can run of itself, without its source tree."""

from windvane.infra.dev.selfcheck import run_comprehensive_tests, run_integration_tests

__all__ = ["run_comprehensive_tests", "run_integration_tests"]
