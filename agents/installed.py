"""Agents that other packages bring along: entry points of the group `windvane.agents`.

Listing them imports nothing. A package says in its pyproject.toml:

    [project.entry-points."windvane.agents"]
    my_trend = "my_package.trend:MyTrend"
"""

from importlib.metadata import EntryPoint, entry_points

GROUP = "windvane.agents"


def installed() -> dict[str, EntryPoint]:
    """Return what is installed, by name; of two packages that bring the same name, the first is meant."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, point)
    return found
