"""What the pages draw and name is what the code has: rooms, stages, topics, files."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from windvane.streams.topics import TOPICS
from windvane.streams.topology import TOPOLOGY

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGE = (DOCS / "architecture.md").read_text(encoding="utf-8")
LAYERS = ("agents", "metamodel", "streams", "infra")
STAGES = {stage.name: stage for stage in TOPOLOGY}
NAMES = {topic.name for topic in TOPICS}
READS = {(topic.name, stage.name) for stage in TOPOLOGY for topic in stage.reads}
EMITS = {(stage.name, topic.name) for stage in TOPOLOGY for topic in stage.emits}
DECISIONS = sorted((DOCS / "decisions").glob("[0-9]*.md"))

STAGE, TOPIC, OUTSIDE, ROOM = "[[", "([", "{{", "["


class Drawing(NamedTuple):
    """A flowchart. shape: how each node is written, and label what is in it, by its id."""

    shape: dict[str, str]
    label: dict[str, str]
    arrows: set[tuple[str, str]]

    def edges(self, first: str, second: str) -> set[tuple[str, str]]:
        """Labels at both ends of the arrows from nodes of one shape to nodes of another."""
        return {
            (self.label[a], self.label[b])
            for a, b in self.arrows
            if (self.shape[a], self.shape[b]) == (first, second)
        }


def drawings(text: str) -> dict[str, Drawing]:
    """The Mermaid drawings of a page by the heading that they stand under."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {
        heading: drawn(block)
        for heading, part in zip(parts[1::2], parts[2::2], strict=True)
        for block in re.findall(r"```mermaid\n(.*?)```", part, re.DOTALL)
    }


def drawn(block: str) -> Drawing:
    """A flowchart of lines `a --> b`, where a node is an id and, the first time, its shape and label."""
    drawing = Drawing({}, {}, set())
    head, *lines = block.strip().splitlines()
    assert re.fullmatch(r"flowchart (LR|RL|TB)", head), head
    for line in lines:
        ends = [_node(drawing, end) for end in line.strip().split(" --> ")]
        assert len(ends) == 2, line
        drawing.arrows.add((ends[0], ends[1]))
    assert set(drawing.shape) == {end for arrow in drawing.arrows for end in arrow}
    return drawing


def _node(drawing: Drawing, text: str) -> str:
    found = re.fullmatch(r'([\w-]+)(?:(\[\[|\(\[|\{\{|\[)"?(.+?)"?(?:\]\]|\]\)|\}\}|\]))?', text)
    assert found is not None, text
    name, shape, label = found.groups()
    if shape is not None:
        assert name not in drawing.shape, f"{name} is described twice"
        drawing.shape[name], drawing.label[name] = shape, label
    return name


DRAWINGS = drawings(PAGE)
LIVES = ("The life of a tick", "The life of an order", "The life of a control")


class TestTheDrawings:
    def test_a_drawing_is_read_in_all_its_shapes(self) -> None:
        found = drawn('flowchart LR\n  a([ticks]) --> b[[some stage]]\n  b --> d-e{{"x y"}}\n  b --> a\n')
        assert found.arrows == {("a", "b"), ("b", "d-e"), ("b", "a")}
        assert found.label == {"a": "ticks", "b": "some stage", "d-e": "x y"}
        assert found.edges(STAGE, TOPIC) == {("some stage", "ticks")}

    def test_each_part_has_its_drawing(self) -> None:
        assert set(DRAWINGS) == {"The rooms", "The pipeline", *LIVES}

    def test_the_pipeline_is_the_topology(self) -> None:
        pipeline = DRAWINGS["The pipeline"]
        assert pipeline.edges(TOPIC, STAGE) == READS
        assert pipeline.edges(STAGE, TOPIC) == EMITS
        assert len(pipeline.arrows) == len(READS) + len(EMITS)
        topics = {pipeline.label[i] for i, shape in pipeline.shape.items() if shape == TOPIC}
        assert topics == NAMES

    @pytest.mark.parametrize("life", LIVES)
    def test_a_life_goes_where_the_topology_goes(self, life: str) -> None:
        drawing = DRAWINGS[life]
        read, emitted = drawing.edges(TOPIC, STAGE), drawing.edges(STAGE, TOPIC)
        assert read <= READS
        assert emitted <= EMITS
        inside = len(drawing.edges(OUTSIDE, TOPIC)) + len(drawing.edges(TOPIC, OUTSIDE))
        assert len(drawing.arrows) == len(read) + len(emitted) + inside, "an arrow joins what nothing joins"
        for _, topic in drawing.edges(OUTSIDE, TOPIC):
            assert topic not in {name for _, name in EMITS}, f"{topic} is written by a stage"

    def test_a_tick_reaches_every_stage_and_a_decision(self) -> None:
        tick = DRAWINGS["The life of a tick"]
        assert {stage for _, stage in tick.edges(TOPIC, STAGE)} == set(STAGES)
        assert ("ensemble", "decisions") in tick.edges(STAGE, TOPIC)

    def test_an_order_and_a_control_end_where_people_read(self) -> None:
        order, control = DRAWINGS[LIVES[1]], DRAWINGS[LIVES[2]]
        assert {topic for topic, _ in order.edges(TOPIC, OUTSIDE)} == {"orders"}
        assert {topic for topic, _ in control.edges(TOPIC, OUTSIDE)} == {"decisions", "dead-letters"}
        assert ("control", "ensemble") in control.edges(TOPIC, STAGE)


class TestTheRooms:
    def test_the_arrows_are_those_of_the_layers(self) -> None:
        arrows = DRAWINGS["The rooms"].arrows
        assert arrows == {(LAYERS[i + 1], LAYERS[i]) for i in range(len(LAYERS) - 1)}

    def test_every_folder_is_a_room_of_the_page_and_no_other(self) -> None:
        rooms = re.findall(r"^\| `([\w/]+)/` \|", PAGE, re.MULTILINE)
        folders = {
            str(path.parent.relative_to(ROOT)) for layer in LAYERS for path in (ROOT / layer).rglob("*.py")
        }
        assert sorted(rooms) == sorted(folders | {"infra/deploy"})


def pages() -> Iterator[Path]:
    """The pages that speak of the code."""
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md"))
    yield from sorted(DOCS.rglob("*.md"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", list(pages()), ids=relative)


@every_page
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    tops = "agents|metamodel|streams|infra|tests|docs|src|examples"
    for name in re.findall(rf"(?<![\w/.])((?:{tops})/[\w./-]*\w)", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), f"{relative(page)} names {name}"


@every_page
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), f"{relative(page)} links to {link}"


class TestDecisions:
    def test_numbers_rise_by_one_and_the_index_has_all(self) -> None:
        assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
        index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
        listed = re.findall(r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \| (.+) \|$", index, re.MULTILINE)
        for path, (number, name, date, title) in zip(DECISIONS, listed, strict=True):
            assert (number, name) == (path.name[:4], path.name)
            text = path.read_text(encoding="utf-8")
            assert text.startswith(f"# {int(number)}. {title}\n\nDate: {date}\n"), name

    @pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
    def test_a_decision_has_its_three_parts(self, path: Path) -> None:
        headings = re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences"]


def test_every_word_of_the_glossary_says_where_it_lives() -> None:
    rows = re.findall(
        r"^\| \*\*(.+?)\*\* \| (.+?) \| (.*?) \|$", (DOCS / "glossary.md").read_text(), re.MULTILINE
    )
    assert len(rows) > 30
    for word, meaning, home in rows:
        assert meaning.endswith("."), word
        assert re.fullmatch(r"`[\w/]+\.py`", home), word
