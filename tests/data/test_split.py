"""split.json: what it may be, and that the file is named where it is something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from fewview.base import InputError
from fewview.data.pairs import Pair, split_pairs

PAIRS = [Pair(animal, 0, Path("x"), Path("y"), (0.0, 1.0)) for animal in ("851", "852")]


def test_a_split_is_taken_as_it_stands_whether_animals_are_numbers_or_words(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text('{"train": [851], "test": ["852"]}')
    parts = split_pairs(tmp_path, PAIRS)
    assert [pair.animal for pair in parts["train"]] == ["851"]
    assert [pair.animal for pair in parts["test"]] == ["852"]
    assert parts["validation"] == []


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "5", '{"train": 5}', '{"train": "851"}', "[" * 5000, "\ufeff{}"])
def test_anything_else_is_refused_by_the_name_of_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "split.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"split\.json"):
        split_pairs(tmp_path, PAIRS)
