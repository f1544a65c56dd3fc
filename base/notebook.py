"""What a notebook shows of an object: a title, a few facts and grey pictures, as one piece of HTML that needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from numpy.typing import NDArray

from .shapes import Real

_SIDE_PX = 320  # of a picture; larger arrays are thinned out


@dataclass(frozen=True, eq=False)
class Picture:
    """``image`` [row, col], shown with row 0 at the bottom, from ``low`` (black, or white where ``inverted``) to ``high``."""

    image: Real[NDArray, "row col"]
    low: float
    high: float
    inverted: bool = False

    def png(self) -> bytes:
        """The picture as a PNG file."""
        from matplotlib.image import imsave

        thin = max(1, -(-max(self.image.shape) // _SIDE_PX))
        buffer = io.BytesIO()
        high = self.high if self.high > self.low else self.low + 1
        colours = "gray_r" if self.inverted else "gray"
        imsave(buffer, self.image[::thin, ::thin], cmap=colours, vmin=self.low, vmax=high, origin="lower", format="png")
        return buffer.getvalue()


def card(title: str, facts: Mapping[str, str], pictures: Mapping[str, Picture] | None = None, svg: str = "") -> str:
    """The HTML of a title, pictures with captions, a drawing (SVG text, taken as it is) and a table of facts. Text is escaped.

    >>> card("a < b", {"views": "26"})
    '<div><strong>a &lt; b</strong><table><tr><td>views</td><td>26</td></tr></table></div>'
    """
    shown = "".join(
        f'<figure style="display:inline-block;margin:4px;text-align:center">'
        f'<img src="data:image/png;base64,{base64.b64encode(picture.png()).decode("ascii")}" alt="{escape(caption)}" width="200">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, picture in (pictures or {}).items()
    )
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<div><strong>{escape(title)}</strong>{shown and f'<div>{shown}</div>'}{svg and f'<div>{svg}</div>'}<table>{rows}</table></div>"
