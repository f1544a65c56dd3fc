"""An editable install is found by programs that only read files: editors and type checkers."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_pyright_outside_the_repository_resolves_the_package(tmp_path: Path) -> None:
    """A bare environment, with nothing but what the Makefile adds after `pip install --editable`."""
    pytest.importorskip("pyright")
    script = ROOT / ".ci" / "link_source.py"
    if not script.is_file():
        pytest.skip("not run from a checkout")
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
    for _ in range(2):  # a second `make venv` finds it done
        subprocess.run([python, script], check=True, cwd=tmp_path)
    (tmp_path / "use.py").write_text(
        "import fewview as fv\nfrom fewview.pipeline import ReconPlan\nreveal_type(fv.read)\nreveal_type(ReconPlan)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-m", "pyright", "--pythonpath", python, "use.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout
    assert "-> Projections" in done.stdout
    assert 'Type of "ReconPlan" is "type[ReconPlan]"' in done.stdout
