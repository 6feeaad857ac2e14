"""Simulated markets as files, each written once."""

from pathlib import Path

from windvane.infra.training.simulated import write_market


def market(folder: Path, rows: int, seed: int) -> Path:
    """Return the path of a file with a simulated market of `rows` ticks, 15 minutes apart."""
    path = folder / f"market-{rows}-{seed}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_market(path, "standard", rows, seed, False)
    return path
