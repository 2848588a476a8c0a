"""The look of everything to be read in a notebook: HTML for light and dark themes.

Colours come from the notebook's theme or are half transparent. All that a model wrote is escaped
and stands in <pre>, where a notebook looks for no formulas.
"""

import html
from dataclasses import dataclass

from azr_mini.reading import printable

BORDER = "var(--jp-border-color1, rgba(128, 128, 128, 0.5))"
FRAME = f"border: 1px solid {BORDER}; border-radius: 6px; padding: 8px 10px; margin: 4px 0;"
INK = "color: var(--jp-ui-font-color1, inherit); font-size: 13px; line-height: 1.45;"
QUIET = "opacity: 0.75; font-size: 12px; margin: 6px 0 1px 0;"
PRE = (
    "margin: 0; padding: 0; background: transparent; color: inherit; border: 0; "
    "white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12.5px; line-height: 1.5; "
    "font-family: var(--jp-code-font-family, monospace);"
)


@dataclass(frozen=True, repr=False)
class Card:
    """Something to read, as HTML and as plain text."""

    html: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def safe(text: str) -> str:
    """A text that anybody may have written, as HTML that shows exactly it and does nothing."""
    return html.escape(printable(text))


def box(*parts: str, style: str = "") -> str:
    """A framed block around parts that are HTML already."""
    return f'<div style="{FRAME} {INK} {style}">{"".join(parts)}</div>'


def line(markup: str) -> str:
    """A line of our own words."""
    return f"<div>{markup}</div>"


def said(heading: str, text: str) -> str:
    """A heading of ours above a text that anybody may have written."""
    return block(heading, safe(text))


def block(heading: str, markup: str) -> str:
    """A heading above code or prompts that are HTML already."""
    return f'<div style="{QUIET}">{heading}</div><pre style="{PRE}">{markup}</pre>'
