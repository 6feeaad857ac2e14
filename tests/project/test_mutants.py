"""Mutations stand where the sources and tests still have what they name; `make mutants` runs them."""

import ast
import re
from pathlib import Path

import pytest

from mutants.mutation import AnchorError, Mutation, edit
from mutants.mutations import MUTATIONS

ROOT = Path(__file__).resolve().parents[2]


class TestMutations:
    @pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
    def test_its_place_is_in_the_sources_and_its_tests_are_there(self, mutation: Mutation) -> None:
        path, text = edit(ROOT, mutation)
        if path.suffix == ".py":
            ast.parse(text)
        assert text != (ROOT / path).read_text(encoding="utf-8")
        for test in mutation.tests:
            file, *names = test.split("::")
            source = (ROOT / file).read_text(encoding="utf-8")
            assert all(re.search(rf"\b(class|def) {name}\b", source) for name in names or [r"\w+"])

    def test_names_are_unique(self) -> None:
        assert len({m.name for m in MUTATIONS}) == len(MUTATIONS)


SOURCE = '''
LEAST, MOST = 1, 2


class Book:
    """A book."""

    @property
    def rows(self) -> int:
        """Its rows."""
        count = 1
        return count


def rows() -> int:
    return LEAST + LEAST
'''


class TestEdit:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        (tmp_path / "room").mkdir()
        (tmp_path / "room" / "book.py").write_text(SOURCE)
        return tmp_path

    def mutated(self, root: Path, place: str, old: str, new: str) -> str:
        return edit(root, Mutation("m", "room", place, old, new, ())).text

    def test_a_whole_body_is_replaced_but_for_its_docstring(self, root: Path) -> None:
        new = self.mutated(root, "Book.rows", "", "return 7")
        assert new == SOURCE.replace("        count = 1\n        return count\n", "        return 7\n")

    def test_every_match_in_the_place_and_no_other_is_replaced(self, root: Path) -> None:
        assert self.mutated(root, "rows", "LEAST", "MOST") == SOURCE.replace("LEAST + LEAST", "MOST + MOST")
        assert self.mutated(root, "MOST", "1, 2", "2, 1") == SOURCE.replace("1, 2", "2, 1")

    @pytest.mark.parametrize(
        ("place", "old", "sentence"),
        [
            ("Book.lines", "", "m: there are 0 places with the name Book.lines in room, not one"),
            ("rows", "GREATEST", "m: nothing in rows in room matches 'GREATEST'"),
            ("rows", "LEAST", "m: rows in room is already as the mutation would have it"),
        ],
    )
    def test_what_is_not_there_is_said(self, root: Path, place: str, old: str, sentence: str) -> None:
        with pytest.raises(AnchorError) as error:
            self.mutated(root, place, old, "LEAST")
        assert str(error.value) == sentence
