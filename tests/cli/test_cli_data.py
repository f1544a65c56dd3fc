"""`fewview data`: listing, fetching from a mirror, verifying; no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from fewview.cli.main import main
from fewview.data.catalogue.manifest import load_manifest

WEIGHTS = "fid-inception"


@pytest.fixture
def weights_name() -> str:
    return load_manifest()[WEIGHTS].source.files[0].path  # type: ignore[union-attr]


def test_list_names_every_resource_and_calls_the_unknown_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "list"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split()[0] for line in lines] == [resource.name for resource in load_manifest().resources]
    assert main(["data", "list", WEIGHTS]) == 0
    assert "sha256:6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2" in capsys.readouterr().out


def test_a_wrong_file_in_the_mirror_is_refused_and_not_kept(tmp_path: Path, weights_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    mirror = tmp_path / "mirror" / WEIGHTS
    mirror.mkdir(parents=True)
    (mirror / weights_name).write_bytes(b"not the weights")
    assert main(["data", "fetch", WEIGHTS, "--mirror", str(tmp_path / "mirror"), "--to", str(tmp_path / "here")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert weights_name in line
    assert not (tmp_path / "here" / WEIGHTS / weights_name).exists()


def test_fetch_from_a_mirror_then_verify_then_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A data set whose hashes nobody has verified: what was fetched is remembered, so later damage is seen."""
    name = "fips-walnut"
    mirror = tmp_path / "mirror" / name
    mirror.mkdir(parents=True)
    (mirror / "scan.log").write_text("a log")
    to = ["--to", str(tmp_path / "here")]
    assert main(["data", "fetch", name, "--mirror", str(tmp_path / "mirror"), *to]) == 0
    assert "1 file," in capsys.readouterr().out
    (fetched,) = (p for p in (tmp_path / "here" / name).rglob("*.log"))
    assert fetched.read_text() == "a log"
    assert main(["data", "verify", name, *to]) in (0, 1)
    assert str(fetched) in capsys.readouterr().out
    fetched.write_text("A log")
    assert main(["data", "verify", name, *to]) == 1
    assert "wrong hash" in capsys.readouterr().out


def test_verify_of_nothing_is_not_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", WEIGHTS, "--to", str(tmp_path)]) == 1
    assert "missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "bonemt-seg-ct"], "did you mean bonemet-seg-ct"),
        (["fetch", "nothing"], "unknown data set"),
        (["fetch"], "Missing from fewview data fetch"),
        (["fetch", "bonemet-recon-ct"], "--animal 851 --week 0"),
        (["fetch", "fips-walnut", "--mirror", "nowhere"], "nowhere"),
        (["verify", "fid_inception"], "did you mean fid-inception?"),
        (["ls"], "expected one of fetch, list, verify"),
    ],
)
def test_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FEWVIEW_DATA", raising=False)
    assert main(["data", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("fewview: error: ")
    assert said in line
    assert not list(tmp_path.iterdir())
