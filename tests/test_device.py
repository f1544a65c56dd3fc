"""What runs on an accelerator mixes no devices and finds what the CPU finds: on a device that torch takes for one (pretended_device.py).

It says nothing of speed or of CUDA's own kernels: the tests marked ``gpu`` do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch.utils.backend_registration as registration

CASES = ("operator", "naf volume", "naf hash", "naf rays", "unet", "lpd", "pixelnerf", "mednerf")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What each case found, all in one process."""
    if not hasattr(registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch cannot register a device written in Python (2.10 and later can)")
    words = [sys.executable, Path(__file__).with_name("pretended_device.py"), tmp_path_factory.mktemp("device")]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {line["case"]: line for line in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("case", CASES)
def test_an_accelerator_finds_what_the_cpu_finds(said: dict[str, dict], case: str) -> None:
    assert "error" not in said[case], said[case]["error"]
    assert said[case]["difference"] < 2e-3
