"""Calibrated intervals: their coverage on animals that took no part, and what their file keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fewview.base import InputError, UnknownNameError
from fewview.bone import KnownError, fit_intervals, read_intervals


def errors(values: np.ndarray, quantity: str = "Tb_Th") -> list[KnownError]:
    return [KnownError(str(i), "fdk", 26, quantity, float(v)) for i, v in enumerate(values)]


@pytest.mark.parametrize("draw", ["normal", "skewed"])
def test_coverage_is_as_promised_whatever_the_distribution(draw: str) -> None:
    """Theory: between the k-th smallest and k-th largest of n lies a share of 1 - 2k/(n+1) on average; with n = 39 and 0.9, exactly 0.9."""
    rng = np.random.default_rng(4)

    def sample(count: int) -> np.ndarray:
        return rng.normal(0.3, 1, count) if draw == "normal" else rng.exponential(1.0, count)

    inside = []
    for _ in range(400):
        low, high = fit_intervals(errors(sample(39))).of("fdk", 26)["Tb_Th"]
        new = sample(50)
        inside.append(((new >= low) & (new <= high)).mean())
    assert np.mean(inside) == pytest.approx(0.9, abs=0.012)


def test_widened_about_the_middle() -> None:
    table = fit_intervals(errors(np.linspace(-1, 3, 39)))
    low, high = table.of("fdk", 26)["Tb_Th"]
    assert table.of("fdk", 26, widen=2)["Tb_Th"] == pytest.approx((1 - (high - low), 1 + (high - low)))


def test_the_file_keeps_everything(tmp_path: Path) -> None:
    table = fit_intervals(errors(np.linspace(-1, 1, 39)), provenance={"data": "phantoms 1 to 39"})
    assert read_intervals(table.write(tmp_path / "bounds.json")) == table


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"18 animals .* at least 19"):
        fit_intervals(errors(np.zeros(18)))
    with pytest.raises(UnknownNameError, match="Tb_Th"):
        fit_intervals(errors(np.zeros(40), "TbTh"))
    with pytest.raises(InputError, match="fdk with 26 views"):
        fit_intervals(errors(np.zeros(40))).of("fdk", 52)
    with pytest.raises(InputError, match="1 or more"):
        fit_intervals(errors(np.zeros(40))).of("fdk", 26, widen=0.5)
    for text in ("{}", "[1]", "not json", '{"format": "fewview intervals 1"}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError, match=r"x\.json"):
            read_intervals(tmp_path / "x.json")
    with pytest.raises(FileNotFoundError, match="are not there"):
        read_intervals(tmp_path / "none.json")
