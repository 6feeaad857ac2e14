"""What several suites share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real market data: WINDVANE_DATA, or shared/data beside the repository."""
    named = os.environ.get("WINDVANE_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real market data: {folder} does not exist (set WINDVANE_DATA)")
    return folder
