"""What is probably wrong with the images or the volume, judged by borders, repeats and the volume projected back; with all thresholds."""

from __future__ import annotations

from ...data.self_check import DOUBTFUL, WRONG, Suspicion
from .borders import Borders
from .projected_back import ProjectedBack
from .repeated_views import Repeats

_INVERTED, _CUT_VIEWS = 0.5, 0.1  # shares of the views
_LARGE_ERROR, _SCALE = 0.5, (0.8, 1.25)
_FEW_VIEWS_GAP_DEG = 12.0  # views further apart leave a filtered back-projection far from its own views


def judge_borders(found: Borders) -> list[Suspicion]:
    """Suspicions about inverted counts, and about an object that the panel cuts off."""
    if found.inverted > _INVERTED:
        text = "the borders of the views absorb more than their middle: the counts look inverted, or are line integrals already"
        return [Suspicion("inverted", WRONG, text, found.inverted)]
    if found.cut_views > _CUT_VIEWS:
        text = f"the object reaches over the left or right edge of {100 * found.cut_views:.0f} % of the views"
        text += f" (up to {100 * found.cut:.0f} % of their height): values are too high near the edge and off everywhere"
        return [Suspicion("truncation", DOUBTFUL, text, found.cut)]
    return []


def judge_repeats(found: Repeats) -> list[Suspicion]:
    """Suspicions about views that repeat earlier ones."""
    if found.all_alike:
        text = "all views are the same image: a body of revolution without noise, or one image stored many times"
        return [Suspicion("repeated", DOUBTFUL, text)]
    if not found.views:
        return []
    text = f"{len(found.views)} view(s) repeat an earlier one ({ranges(found.views)}): the stage stood still, or images were stored twice"
    return [Suspicion("repeated", WRONG, text, float(len(found.views)), "views")]


def judge_volume(found: ProjectedBack, gap_deg: float) -> list[Suspicion]:
    """Suspicions about a volume that does not reproduce its views."""
    if not found.whole or not found.error > _LARGE_ERROR:
        return []
    percent = f"{100 * found.error:.0f} %"
    if gap_deg > _FEW_VIEWS_GAP_DEG:
        text = f"projected back the volume misses the views by {percent}: a filtered back-projection of views {gap_deg:.0f} deg apart does"
        return [Suspicion("volume", DOUBTFUL, f"{text}, an iterative method would not", found.error)]
    if found.scale > 0 and not _SCALE[0] < found.scale < _SCALE[1] and found.error_scaled < 0.5 * found.error:
        text = f"the volume's values look {1 / found.scale:.2g} times too large for the views (unit of the values or the lengths?)"
        return [Suspicion("scale", WRONG, text, found.scale)]
    text = f"projected back the volume misses the views by {percent}: they contradict each other, or the method did not finish"
    return [Suspicion("volume", WRONG, text, found.error)]


def ranges(numbers: tuple[int, ...]) -> str:
    """Sorted numbers, runs of them shortened.

    >>> ranges((3, 4, 5, 9))
    '3-5, 9'
    """
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n == runs[-1][1] + 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    words = [f"{a}-{b}" if b > a else f"{a}" for a, b in runs]
    return ", ".join(words[:4]) + (", ..." if len(words) > 4 else "")
