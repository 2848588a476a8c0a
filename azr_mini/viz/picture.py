"""Figures as a notebook shows them, each with words for those who cannot see it."""

import base64
import html
from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from azr_mini.viz.style import house_style, png


@dataclass(frozen=True, repr=False)
class Picture:
    """A drawn figure: a PNG and the words that stand for it."""

    png: bytes
    alt: str

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        content = base64.b64encode(self.png).decode("ascii")
        return {"image/png": content, "text/plain": self.alt}, {"image/png": {"alt": self.alt}}

    def html(self) -> str:
        """An image element that holds the whole picture."""
        content, alt = base64.b64encode(self.png).decode("ascii"), html.escape(self.alt)
        source = f"data:image/png;base64,{content}"
        return f'<img src="{source}" alt="{alt}" title="{alt}" style="max-width: 100%">'


def picture(draw: Callable[..., Figure], *arguments, alt: str = "", **options) -> Picture:
    """The figure that `draw` makes of these arguments, in the house style.

    alt: what it shows, for those who cannot see it; by default the figure's title.
    """
    with house_style():
        figure = draw(*arguments, **options)
        return Picture(png(figure), alt or figure.get_suptitle())
