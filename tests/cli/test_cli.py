"""The command line: every command with good and bad input, exit codes, one-line errors, interrupts, records."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import fewview as fv
import nibabel
import numpy as np
import pytest
from fewview.cli import doctor as doctor_module
from fewview.cli.main import available, main
from fewview.cli.options import settings
from fewview.data import read, read_volume, write_projections, write_skyscan
from fewview.data.phantom.limb import hind_limb
from fewview.geometry import Grid, InputError, UnknownNameError, skyscan_1276
from fewview.pipeline.selection import make_grid, select_views
from fewview.recon.physics.effects import Physics
from fewview.recon.physics.simulator import simulate_raw

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture(scope="module")
def truth() -> tuple[np.ndarray, Grid]:
    grid = Grid((44, 40, 40), 0.6)
    return hind_limb(grid, seed=3, supersample=1).volume, grid


@pytest.fixture(scope="module")
def scan_folder(tmp_path_factory: pytest.TempPathFactory, truth: tuple[np.ndarray, Grid]) -> Path:
    """A small scan on disk: 260 views of 24 x 36 pixels, one energy, no noise."""
    folder = tmp_path_factory.mktemp("cli") / "leg"
    scan = skyscan_1276(rows=24, cols=36, voxel_mm=1.1872)
    raw = simulate_raw(*truth, scan, Physics.ideal(bits=16, rays=1))
    return write_skyscan(raw, folder)


def one_line(err: str) -> str:
    """The only line of stderr, without its label."""
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("fewview: error: ")
    return lines[0]


# ------------------------------------------------------------------------------------------------ the front door


def test_help_lists_every_command_and_each_explains_itself(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for name in available():
        assert f"  {name}" in out
        code, text, _ = run(*name.split(), "--help")
        assert code == 0
        assert "Examples:" in text, name
        assert f"fewview {name}" in text.partition("Examples:")[2]


def test_help_loads_nothing_heavy() -> None:
    script = "import sys; from fewview.cli.main import main; main(['--help']); print('loaded:', *sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = out.partition("loaded:")[2].split()
    assert not {"torch", "numba", "matplotlib", "scipy", "skimage", "h5py"} & set(loaded)


def test_the_installed_command_runs() -> None:
    done = subprocess.run([Path(sys.executable).parent / "fewview", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, f"fewview {fv.__version__}")


def test_no_command_is_bad_usage_and_shows_the_help(run: Run) -> None:
    code, out, _ = run()
    assert code == 2
    assert "usage: fewview COMMAND" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rcon"], "did you mean recon"),
        (["doctr"], "did you mean doctor?"),
        (["recon"], "Missing from fewview recon: PATH"),
        (["recon", "SCAN", "--metod", "fdk"], "did you mean --method?"),
        (["recon", "SCAN", "--voxel-mm", "fine"], "--voxel-mm"),
        (["recon", "SCAN", "--method", "fista-tv"], "did you mean fista_tv"),
        (["recon", "SCAN", "--set", "filer=hann"], "did you mean filter?"),
        (["recon", "SCAN", "--set", "filter=han"], "did you mean hann"),
        (["recon", "SCAN", "--set", "hann"], "key=value"),
        (["recon", "SCAN", "--views", "evry:10"], "did you mean every"),
        (["recon", "SCAN", "--views", "261"], "1 to 260"),
        (["recon", "SCAN", "--views", "wedge:90:500"], "no view lies within"),
        (["recon", "SCAN", "--grid", "8,8"], "NZ,NY,NX"),
        (["recon", "SCAN", "--grid", "8,8,0"], "positive whole numbers"),
        (["recon", "SCAN", "--box", "0:1,0:1,1:0"], "X0:X1,Y0:Y1,Z0:Z1"),
        (["recon", "SCAN", "--box", "0:1,0:1,0:1", "--grid", "1,1,1"], "one of them"),
        (["recon", "SCAN", "--voxel-mm", "-1"], "positive length in mm"),
        (["recon", "SCAN", "--voxel-mm", "1e-4"], "larger --voxel-mm"),
        (["recon", "SCAN", "--out", "a.jpg"], ".ome.tif"),
        (["recon", "SCAN", "--out", "a.tif"], "a.ome.tif"),
        (["recon", "SCAN", "--read-as", "direction=up"], "direction"),
        (["recon", "SCAN", "--read-as", "dirction=CW"], "did you mean direction"),
        (["recon", "nowhere"], "nowhere is not there"),
        (["recon", "SCAN", "--method", "nowhere.py:f"], "nowhere.py is not there"),
        (["info", "nowhere"], "nowhere is not there"),
        (["info", "SCAN", "--draw", "EXISTS"], "--force"),
        (["info", "EXISTS"], "is not a scan"),
        (["simulate", "--out", "x"], "at least one VOLUME"),
        (["simulate", "nowhere.nii.gz", "--out", "x"], "nowhere.nii.gz is not there"),
        (["simulate", "--phantom", "1", "--out", "x", "--layout", "skyscam"], "did you mean skyscan"),
        (["simulate", "--phantom", "1", "--out", "x", "--scanner", "skyscan_1275"], "did you mean skyscan_1276"),
        (["simulate", "--phantom", "1", "--out", "x", "--physics", "photon=5"], "did you mean photons"),
        (["simulate", "--phantom", "1", "1", "--out", "x"], "same name"),
        (["simulate", "--phantom", "1", "--out", "EXISTS"], "--force"),
        (["demo", "--out", "EXISTS"], "--force"),
        (["demo", "--volume", "nowhere.nii", "--out", "y"], "nowhere.nii is not there"),
        (["demo", "--rows", "0", "--out", "y"], "rows"),
        (["doctor", "--quik"], "--quick"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2_and_leaves_nothing(
    run: Run, scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("precious")
    before = sorted(tmp_path.iterdir())
    code, _, err = run(*({"SCAN": str(scan_folder), "EXISTS": "taken"}.get(word, word) for word in words))
    assert code == 2
    assert said in one_line(err)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "taken").read_text() == "precious"


def test_debug_anywhere_shows_the_traceback(run: Run) -> None:
    for words in (["--debug", "info", "nowhere"], ["info", "nowhere", "--debug"]):
        code, _, err = run(*words)
        assert code == 2
        assert "Traceback" in err
        assert "FileNotFoundError" in err


# ------------------------------------------------------------------------------------------------ recon


def test_recon_is_reconstruct_with_a_record(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "few.ome.tif"
    code, said, err = run("recon", scan_folder, "--views", "26", "--set", "filter=hann", "cutoff=0.8", "--out", out)
    assert (code, err) == (0, "")
    assert "fdk: 26 views" in said
    p = read(scan_folder)
    part = p[fv.views.evenly(p.scan, 26)]
    expected = fv.reconstruct(part, "fdk", Grid.fit(p.scan), filter="hann", cutoff=0.8).volume
    volume, grid, _ = read_volume(out)
    np.testing.assert_array_equal(volume, expected)
    assert grid.voxel_mm == pytest.approx(1.1872)
    record = json.loads((tmp_path / "few.ome.tif.record.json").read_text())
    assert record["settings"]["filter"] == "hann"
    assert record["inputs"][0]["path"] == str(scan_folder)
    assert len(record["inputs"][0]["sha256"]) == 64
    assert record["outputs"] == [str(out)]
    np.testing.assert_allclose(record["view_angles_deg"], part.scan.angles_deg)
    assert record["versions"]["fewview"] == fv.__version__
    assert any("CC" in line for line in record["notes"]["reader"])


def test_recon_never_overwrites_without_force(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.nii.gz"
    assert run("recon", scan_folder, "--views", "every:20", "--out", out)[0] == 0
    first = out.read_bytes()
    code, _, err = run("recon", scan_folder, "--views", "every:10", "--out", out)
    assert code == 2
    assert "--force" in one_line(err)
    assert out.read_bytes() == first
    assert run("recon", scan_folder, "--views", "every:10", "--out", out, "--force")[0] == 0
    assert out.read_bytes() != first


def test_a_box_is_a_part_of_the_whole(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    """Back-projection is voxel by voxel: the same places have the same values, whatever the box."""
    whole, _, _ = _recon(run, scan_folder, tmp_path / "whole.h5", "--grid", "20,30,30", "--voxel-mm", "1")
    box, grid, _ = _recon(run, scan_folder, tmp_path / "box.h5", "--box=-5:7,-3:4,-6:2", "--voxel-mm", "1")
    assert grid.shape == (8, 7, 12)
    np.testing.assert_allclose(box, whole[4:12, 12:19, 10:22], rtol=1e-4, atol=1e-5)


def test_the_default_name_says_scan_method_and_views(run: Run, scan_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("recon", scan_folder, "--views", "random:26:4")[0] == 0
    assert (tmp_path / "leg_fdk_random-26-4.ome.tif").is_file()


def test_a_reader_option_reaches_the_reader(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    """Reversed rotation mirrors the path of the source: the volume differs, and the record says why."""
    plain, _, _ = _recon(run, scan_folder, tmp_path / "cc.h5")
    turned, _, record = _recon(run, scan_folder, tmp_path / "cw.h5", "--read-as", "direction=CW")
    assert np.abs(plain - turned).max() > 0.02
    assert any("CW" in line and "counter" not in line for line in record["notes"]["reader"])


def _recon(run: Run, scan: Path, out: Path, *words: str) -> tuple[np.ndarray, Grid, dict]:
    code, _, err = run("recon", scan, "--out", out, *words)
    assert code == 0, err
    volume, grid, _ = read_volume(out)
    return volume, grid, json.loads(out.with_name(out.name + ".record.json").read_text())


def test_the_method_of_the_docs_runs_and_beats_fdk_on_few_views(
    run: Run, scan_folder: Path, tmp_path: Path, truth: tuple[np.ndarray, Grid]
) -> None:
    source = ROOT / "docs" / "my_method.py"
    assert len(source.read_text().splitlines()) <= 32
    mine, grid, _ = _recon(run, scan_folder, tmp_path / "mine.h5", "--views", "13", "--method", f"{source}:landweber")
    fdk, _, _ = _recon(run, scan_folder, tmp_path / "fdk.h5", "--views", "13")
    from fewview.data.volumes.resample import resample

    true = resample(*truth, grid)
    error = [float(np.sqrt(np.mean((volume - true) ** 2))) for volume in (mine, fdk)]
    assert error[0] < 0.8 * error[1]
    assert mine[true > 0.03].mean() == pytest.approx(true[true > 0.03].mean(), rel=0.1)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("return np.zeros((2, 2, 2))", 2, "returned shape (2, 2, 2)"),
        ("return np.full(grid.shape, np.nan)", 2, "NaN or Inf"),
        ("return grid.nothing", 1, "AttributeError"),
        ("import no_such_package", 2, "'no_such_package' is not installed"),
        ("raise MemoryError", 2, "not enough memory"),
        ("import torch; raise torch.OutOfMemoryError('CUDA out of memory')", 2, "not enough memory on the device"),
    ],
)
def test_a_faulty_method_of_ones_own_is_told_apart_from_bad_input(
    run: Run, scan_folder: Path, tmp_path: Path, body: str, code: int, said: str
) -> None:
    (tmp_path / "own.py").write_text(f"import numpy as np\ndef mine(projections, grid):\n    {body}\n")
    got, _, err = run("recon", scan_folder, "--method", f"{tmp_path}/own.py:mine", "--out", tmp_path / "v.h5")
    assert got == code
    assert said in one_line(err)
    assert not (tmp_path / "v.h5").exists()


def test_a_wrong_function_name_gets_the_nearest(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def mine(projections, grid):\n    return None\n")
    code, _, err = run("recon", scan_folder, "--method", f"{tmp_path}/own.py:mime", "--out", tmp_path / "v.h5")
    assert code == 2
    assert "did you mean mine?" in one_line(err)


ITERATIVE = """
import os, signal
import numpy as np
from fewview.recon import Method, Progress

def run(projections, grid, settings, callbacks):
    for step in range(1, 6):
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)
        volume = np.full(grid.shape, step, np.float32) if SHOWN else None
        for call in callbacks:
            call(Progress(step, 5, volume, {"residual": 1.0 / step}))
    return np.zeros(grid.shape, np.float32)

METHOD = Method("stopped", run)
"""


def test_ctrl_c_in_an_iterative_method_keeps_the_last_whole_step(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(ITERATIVE.replace("SHOWN", "True"))
    code, _, err = run("recon", scan_folder, "--method", f"{tmp_path}/own.py:METHOD", "--out", tmp_path / "v.h5")
    assert code == 130
    assert "interrupted" in err
    assert "step 3" in err
    volume, _, _ = read_volume(tmp_path / "v.h5")
    assert (volume == 3).all()
    assert json.loads((tmp_path / "v.h5.record.json").read_text())["settings"]["interrupted"] == 3


def test_ctrl_c_before_there_is_a_volume_leaves_nothing(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(ITERATIVE.replace("SHOWN", "False"))
    code, _, err = run("recon", scan_folder, "--method", f"{tmp_path}/own.py:METHOD", "--out", tmp_path / "v.h5")
    assert code == 130
    assert err.startswith("fewview: interrupted")
    assert not list(tmp_path.glob("*v.h5*"))


@pytest.mark.parametrize("name", ["v.h5", "v.ome.tif", "v.nii", "slices"])
def test_a_full_disk_is_one_line_and_leaves_nothing(scan_folder: Path, tmp_path: Path, name: str) -> None:
    """A limit of 12 kB a file stands for the full disk; the first run compiles, so that the second has nothing else to write."""
    out = tmp_path / "out"
    script = (
        "import resource, sys; from fewview.cli.main import main; words, out = sys.argv[1:-1], sys.argv[-1];"
        "assert main([*words, 'first.h5']) == 0; resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000)); sys.exit(main([*words, out]))"
    )
    words = ["recon", str(scan_folder), "--views", "5", "--grid", "90,90,90", "--out", str(out / name)]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.strip().splitlines() if "warning" not in line]
    assert line.startswith("fewview: error: ")
    assert not out.exists() or list(out.iterdir()) == []


def test_warnings_are_one_line(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    code, _, err = run("recon", scan_folder, "--views", "wedge:90", "--out", tmp_path / "v.h5")
    assert code == 0
    (line,) = err.strip().splitlines()
    assert line.startswith("fewview: warning: ")
    assert "deg" in line


# ------------------------------------------------------------------------------------------------ info, doctor


def test_info_states_geometry_and_assumptions(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    code, out, _ = run("info", scan_folder, "--draw", tmp_path / "g.svg")
    assert code == 0
    assert "25.888290" in out
    assert "17.42309" in out
    assert "208.00 deg: a short scan (205.89 deg needed)" in out
    assert "row 0 of the images" in out.partition("assumptions")[2]
    assert ElementTree.parse(tmp_path / "g.svg").getroot().tag.endswith("svg")


def test_info_reads_only_three_images_and_h5_files_too(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    """All but three images are damaged: info does not mind, recon names the file."""
    broken = tmp_path / "broken"
    shutil.copytree(scan_folder, broken)
    images = sorted(broken.glob("*.tif"))
    for i, image in enumerate(images):
        if i not in (0, 130, 259):
            image.write_bytes(image.read_bytes()[:200])
    assert "uint16" in run("info", broken)[1]
    code, _, err = run("recon", broken, "--out", tmp_path / "v.h5")
    assert code == 2
    assert images[1].name in one_line(err)
    write_projections(read(scan_folder, views=slice(0, 20)), tmp_path / "p.h5")
    code, out, _ = run("info", tmp_path / "p.h5")
    assert code == 0
    assert "20 views" in out
    assert "line integrals" in out


def test_info_of_a_wedge_says_what_is_missing(run: Run, scan_folder: Path) -> None:
    code, out, _ = run("info", scan_folder, "--views", "wedge:199")
    assert code == 0
    # 249 + 1 views of 0.8 deg cover 200 deg: complete within DSO sin(10 deg)
    dso = 36 * 1.1872 / (2 * np.tan(np.radians(25.888290 / 2)))
    assert f"complete only within {dso * np.sin(np.radians((249 * 0.8 - 180) / 2)):.4g} mm" in out


def test_doctor_passes_here_and_fails_on_wrong_numbers(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert "FAILED" not in out
    for word in ("numba", "torch", "astra", "memory", "fdk", "SIMD"):
        assert word in out
    exact = doctor_module.sphere_projections
    monkeypatch.setattr(doctor_module, "sphere_projections", lambda *a: exact(*a) * np.float32(1.02))
    code, out, _ = run("doctor")
    assert code == 1
    assert "FAILED FDK" in out


def test_sphere_projections_are_chords() -> None:
    """The central ray of a centred scan crosses 2 r; a ray past the sphere nothing."""
    scan = fv.Scan.circular(dso_mm=100, dsd_mm=200, rows=3, cols=41, pixel_mm=1.0, angles_deg=[0, 33, 90])
    values = doctor_module.sphere_projections(scan, 5.0, 0.1)
    np.testing.assert_allclose(values[:, 1, 20], 2 * 5 * 0.1, rtol=1e-6)
    assert (values[:, :, 0] == 0).all()


# ------------------------------------------------------------------------------------------------ simulate


def test_simulate_scans_a_grey_volume_at_the_stated_scale(run: Run, tmp_path: Path) -> None:
    """A uniform cylinder of grey 255 and radius 6 mm at 0.2 1/mm: the central ray's line integral is 2.4."""
    y, x = np.mgrid[:70, :70] - 34.5
    disc = np.where(x**2 + y**2 <= 30**2, 255, 0).astype(np.uint8)
    volume = np.repeat(disc[:, :, None], 24, axis=2)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([0.2, 0.2, 0.2, 1.0])), tmp_path / "disc.nii.gz")
    words = ("--rows", 8, "--cols", 49, "--physics", "polychromatic=false", "photons=0", "electronic_noise=0", "gain_sd=0", "flux_sd=0")
    code, out, err = run("simulate", tmp_path / "disc.nii.gz", "--out", tmp_path / "s", *words, "scatter=0", "blur_px=0", "dead_fraction=0")
    assert code == 0, err
    assert "260 views of 8 x 49 pixels" in out
    p = read(tmp_path / "s")
    assert p.values[:, 4, 24].mean() == pytest.approx(2.4, rel=0.01)
    record = json.loads((tmp_path / "s.record.json").read_text())
    assert record["settings"]["physics"]["photons"] == 0


def test_simulate_two_phantoms_makes_a_folder_each(run: Run, tmp_path: Path) -> None:
    code, _, err = run(
        "simulate", "--phantom", 1, 2, "--out", tmp_path / "s", "--rows", 8, "--cols", 12, "--physics", "polychromatic=false"
    )
    assert code == 0, err
    one, two = (read(tmp_path / "s" / f"phantom_{n}") for n in (1, 2))
    assert one.scan == two.scan
    assert np.abs(one.values - two.values).max() > 0.05


def test_simulate_refuses_a_volume_that_cannot_be_attenuation(run: Run, tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.full((8, 8, 8), 900.0, np.float32), np.eye(4))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, tmp_path / "hu.nii")
    code, _, err = run("simulate", tmp_path / "hu.nii", "--out", tmp_path / "s")
    assert code == 2
    assert "1/mm" in one_line(err)
    assert not (tmp_path / "s").exists()


# ------------------------------------------------------------------------------------------------ the small languages


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", np.arange(260)),
        ("2", [0, 259]),
        ("every:100", [0, 100, 200]),
        ("wedge:1.6", [0, 1, 2]),
        ("wedge:0.8:100", [125, 126]),
        (" EVENLY:3 ", [0, 130, 259]),
    ],
)
def test_views(text: str, expected: list[int]) -> None:
    np.testing.assert_array_equal(select_views(skyscan_1276(2, 3, 1.0), text), expected)


def test_random_views_follow_the_seed() -> None:
    scan = skyscan_1276(2, 3, 1.0)
    np.testing.assert_array_equal(select_views(scan, "random:26:7"), fv.views.random(scan, 26, seed=7))
    assert not np.array_equal(select_views(scan, "random:26"), select_views(scan, "random:26:7"))


@pytest.mark.parametrize("text", ["26.5", "every", "every:1:2", "random:3:x", "wedge:nan", "26:3", ":", "every:0", "-3"])
def test_wrong_views(text: str) -> None:
    with pytest.raises(InputError):
        select_views(skyscan_1276(2, 3, 1.0), text)


def test_unknown_view_selection_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean wedge"):
        select_views(skyscan_1276(2, 3, 1.0), "wedg:90")


def test_settings_have_types() -> None:
    pairs = [["a=1", "b=1e-3", "c=true"], ["d=none", "e=hann", "f=[1, 2]", "g-h=(1, 2)", "i="]]
    assert settings(pairs) == {"a": 1, "b": 1e-3, "c": True, "d": None, "e": "hann", "f": [1, 2], "g_h": (1, 2), "i": ""}


def test_grids() -> None:
    scan = skyscan_1276(20, 30, 1.0)
    assert make_grid(scan, None, "", "") == Grid.fit(scan)
    assert make_grid(scan, 0.5, "4,5,6", "") == Grid((4, 5, 6), 0.5)
    assert make_grid(scan, 0.5, "", "-1:1,0:3,2:3") == Grid((2, 6, 4), 0.5, (0.0, 1.5, 2.5))


# ------------------------------------------------------------------------------------------------ corrections, spread


def test_corrections_are_applied_and_accounted_for(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    plain, _, none = _recon(run, scan_folder, tmp_path / "plain.h5", "--views", "52")
    words = ("--views", "52", "--rings", "5", "--smoothing", "1", "--beam-hardening", "30", "--dead-pixels", "10", "--median", "1")
    clean, _, record = _recon(run, scan_folder, tmp_path / "clean.h5", *words)
    assert none["notes"]["corrections"] == []
    steps = [entry["step"] for entry in record["notes"]["corrections"]]
    assert steps == ["dead_pixels", "rings", "smoothing", "beam_hardening", "median"]
    assert np.abs(clean - plain).max() > 0.005


@pytest.mark.parametrize(
    "words", [("--rings", "21"), ("--beam-hardening", "101"), ("--median", "-1"), ("--beam-hardening", "3", "--bone-hardening", "1")]
)
def test_corrections_out_of_range(run: Run, scan_folder: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    code, _, err = run("recon", scan_folder, "--views", "13", *words, "--out", tmp_path / "v.h5")
    assert code == 2
    one_line(err)
    assert not (tmp_path / "v.h5").exists()


def test_std_is_written_beside_the_volume(run: Run, scan_folder: Path, tmp_path: Path) -> None:
    """The spread is larger from fewer views, and the volume is the one without it."""
    plain, _, _ = _recon(run, scan_folder, tmp_path / "plain.nii.gz", "--views", "26")
    means = []
    for views in ("26", "130"):
        out = tmp_path / f"v{views}.nii.gz"
        volume, _, _ = _recon(run, scan_folder, out, "--views", views, "--std", "4")
        spread, _, _ = read_volume(tmp_path / f"v{views}_std.nii.gz")
        means.append(float(spread.mean()))
        if views == "26":
            np.testing.assert_array_equal(volume, plain)
    assert means[0] > 1.5 * means[1] > 0


# ------------------------------------------------------------------------------------------------ bench, report


def test_bench_speed_prints_every_task(run: Run, tmp_path: Path) -> None:
    code, out, err = run("bench", "speed", "--size", "small", "--rounds", 1, "--out", tmp_path / "speed.txt")
    assert code == 0, err
    for task in ("forward", "adjoint", "fdk"):
        assert re.search(rf"^{task} +fewview +260 ", out, flags=re.MULTILINE)
    assert (tmp_path / "speed.txt").read_text().strip() == out.strip()


def test_from_phantoms_to_the_table(run: Run, tmp_path: Path) -> None:
    """A paired data set and the comparison on it, as the help of `bench table2` says."""
    data, out = tmp_path / "paired", tmp_path / "results"
    words = ("--rows", 16, "--cols", 24, "--physics", "polychromatic=false", "rays=1")
    code, said, err = run("simulate", "--phantom", 1, 2, 3, "--layout", "bonemet", "--out", data, *words)
    assert code == 0, err
    assert "3 scans made" in said
    code, said, err = run(
        "bench",
        "table2",
        "--data",
        data,
        "--out",
        out,
        "--quick",
        "--views",
        13,
        26,
        "--methods",
        "fdk",
        "control-mean",
        "--features",
        "none",
    )
    assert code == 0, err
    assert len(re.findall(r"^\| fdk \| 26 \|", said, flags=re.MULTILINE)) >= 2
    assert (out / "report.html").is_file()
    code, _, err = run("report", out)
    assert code == 2
    assert "--force" in one_line(err) or "force" in err
    assert run("report", out, "--out", tmp_path / "again.html")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench", "sped"], "did you mean speed?"),
        (["bench", "speed", "--size", "smal"], "did you mean small?"),
        (["bench", "speed", "--rounds", "0"], "--rounds 0"),
        (["bench", "table2", "--out", "r"], "--data"),
        (["bench", "table2", "--data", "nowhere", "--out", "r"], "nowhere"),
        (["bench", "table2", "--data", ".", "--out", "r", "--set", "lambda=1"], "METHOD.KEY=VALUE"),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_to_bench_and_report(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*words)
    assert code == 2
    assert said in one_line(err)


def test_a_group_of_commands_lists_its_members(run: Run) -> None:
    code, out, _ = run("bench", "--help")
    assert code == 0
    assert "bench speed" in out
    assert "fewview recon" not in out.replace("fewview COMMAND", "")
