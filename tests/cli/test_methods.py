"""`fewview methods` says what can be set, and every mistake in a setting leads there; flags read the right way round."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from fewview.cli.main import available, main
from fewview.pipeline.explained import groups, settings_of, unit_of
from fewview.recon import METHODS
from fewview.recon.corrections import Corrections


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_the_overview_names_every_method_with_its_paper(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "methods").splitlines()
    for name in METHODS:
        (place,) = [i for i, line in enumerate(lines) if line.split()[:1] == [name]]
        assert METHODS[name].kind in lines[place]
        assert METHODS[name].summary in lines[place]
        assert METHODS[name].reference in lines[place + 1]
    assert {"physics", "corrections", "training"} <= {line.split()[0] for line in lines if line}


@pytest.mark.parametrize("name", [*METHODS, *groups()])
def test_every_setting_is_listed_with_its_default(capsys: pytest.CaptureFixture[str], name: str) -> None:
    cls = groups()[name][0] if name in groups() else METHODS[name].Settings
    text = said(capsys, "methods", name)
    for field in dataclasses.fields(cls):
        if field.init:
            assert re.search(rf"^{field.name} +\S", text, flags=re.MULTILINE), field.name
    assert "fewview." not in text.partition("\n\n")[0]  # commands, not Python classes


def test_units_bounds_and_choices_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "methods", "physics")
    assert re.search(r"^voltage_kv +50 +kV ", text, flags=re.MULTILINE)
    assert re.search(r"^bits +16 +16, or 0 for floating point$", text, flags=re.MULTILINE)
    text = said(capsys, "methods", "fista_tv")
    assert re.search(r"^prior +tv +tv or huber or wavelet$", text, flags=re.MULTILINE)
    assert "18 (2009) 2419" in text
    assert [unit_of(name) for name in ("roll_deg", "blur_px", "mode")] == ["deg", "pixels", ""]


def test_a_plain_dataclass_and_a_function_of_ones_own_are_explained_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = """
from dataclasses import dataclass
from fewview.recon import Method
@dataclass(frozen=True)
class Settings:
    '''``steps``: how many.'''
    steps: int = 7
def mine(projections, grid):
    '''Back-projection, as I do it.'''
METHOD = Method("own", lambda *a: None, Settings, reference="Me (2026)")
"""
    (tmp_path / "own.py").write_text(source)
    text = said(capsys, "methods", f"{tmp_path}/own.py:METHOD")
    assert "own: Me (2026)" in text
    assert re.search(r"^steps +7 +a whole number$", text, flags=re.MULTILINE)
    assert "steps: how many." in text
    text = said(capsys, "methods", f"{tmp_path}/own.py:mine")
    assert "Back-projection, as I do it." in text
    assert "no settings" in text

    @dataclasses.dataclass(frozen=True)
    class Local:
        needed: int
        listed: list[int] = dataclasses.field(default_factory=list)

    assert [(s.name, s.default) for s in settings_of(Local)] == [("needed", "(must be given)"), ("listed", "[]")]


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["recon", "SCAN", "--method", "sirt", "--set", "itertions=3"], "did you mean iterations or relaxation?; see fewview methods sirt"),
        (["recon", "SCAN", "--method", "sirt", "--set", "iterations=-3"], "a whole number of 1 or more, or none; see fewview methods sirt"),
        (["recon", "SCAN", "--correct", "ring=3"], "see fewview methods corrections"),
        (["recon", "SCAN", "--rings", "99"], "see fewview methods corrections"),
        (["simulate", "--phantom", "1", "--out", "x", "--physics", "photon=5"], "did you mean photons?; see fewview methods physics"),
        (["train", "unet", "--data", "d", "--out", "x.pt", "--set", "augmnt=any"], "see fewview methods training"),
        (["methods", "fista"], "did you mean fista_tv"),
    ],
)
def test_a_mistake_leads_to_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert where in line


def test_every_correction_is_an_option_of_recon(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "recon", "--help")
    for setting in settings_of(Corrections):
        assert f"--{setting.name.replace('_', '-')} " in text, setting.name


def test_help_points_to_methods_and_flags_read_the_right_way_round(capsys: pytest.CaptureFixture[str]) -> None:
    """A flag --no-x whose help says "default: True" means the contrary of what it reads."""
    for name in available():
        text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", said(capsys, *name.split(), "--help")).split())
        for flag in re.findall(r"(--no-[\w-]+) [^(]*\(default: True\)", text):
            pytest.fail(f"fewview {name} {flag}")
        if "--set" in text or "--physics" in text:
            assert "fewview methods" in text, name
        assert not re.search(r"fewview\.\w+\.\w+", text), name
