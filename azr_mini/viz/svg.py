"""Boxes, words and arrows as SVG text that reads well on a light and on a dark page."""

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape, quoteattr

Point = tuple[float, float]

SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"
LIGHT = {"page": "#FFFFFF", "edge": "#D0D7DE", "ink": "#1F2328", "soft": "#59636E"}
DARK = {"page": "#161B22", "edge": "#3D444D", "ink": "#E6EDF3", "soft": "#A9B3BE"}
# Attributes give the light theme to every viewer; the sheet only repaints where the reader's is
# dark. Its names stay inside .azr, because a notebook shares one page between all its pictures.
SHEET = "".join(
    f".azr .{name}-{paint}{{{paint}:{colour}}}"
    for name, colour in DARK.items()
    for paint in ("fill", "stroke")
)
HEAD = 6  # length of an arrow's head


def document(width: int, height: int, title: str, description: str, parts: Iterable[str]) -> str:
    """A whole SVG file: a rounded page with the parts on it, title and description for readers."""
    frame = f'x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="14"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="azr" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label={quoteattr(title)} '
        f'style="max-width:100%;height:auto" font-family="{SANS}">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(description)}</desc>",
        f"<style>@media (prefers-color-scheme:dark){{{SHEET}}}</style>",
        f"<rect {frame} {painted(fill='page', stroke='edge')}/>",
        *parts,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def painted(**paints: str) -> str:
    """The attributes for `fill=` and `stroke=`, each a tone of the theme or a colour as it is."""
    classes = " ".join(f"{tone}-{paint}" for paint, tone in paints.items() if tone in LIGHT)
    colours = " ".join(f'{paint}="{LIGHT.get(tone, tone)}"' for paint, tone in paints.items())
    return f'class="{classes}" {colours}' if classes else colours


def words(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 12,
    weight: int = 400,
    anchor: str = "middle",
    tone: str = "ink",
    mono: bool = False,
) -> str:
    """One line of text with its baseline at y."""
    font = f' font-family="{MONO}"' if mono else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" font-weight="{weight}" '
        f'text-anchor="{anchor}" {painted(fill=tone)}{font} xml:space="preserve">'
        f"{escape(text)}</text>"
    )


def box(
    x: float,
    y: float,
    width: float,
    height: float,
    colour: str = "edge",
    *,
    tint: float = 0.14,
    line: float = 1.5,
    dashed: bool = False,
    radius: float = 9,
) -> str:
    """A rounded box, outlined in a colour and filled with a tint of it."""
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}"'
    return (
        f'<rect {place} {painted(fill=colour)} fill-opacity="{tint:g}"/>'
        f'<rect {place} fill="none" {painted(stroke=colour)} stroke-width="{line:g}"{dash}/>'
    )


def stroke(start: Point, end: Point, tone: str, width: float = 1, *, dashed: bool = False) -> str:
    """A straight line."""
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    place = 'x1="{:g}" y1="{:g}" x2="{:g}" y2="{:g}"'.format(*start, *end)
    return f'<line {place} {painted(stroke=tone)} stroke-width="{width:g}"{dash}/>'


def dot(x: float, y: float, colour: str, *, full: bool) -> str:
    """A small disc, or a ring in its place."""
    place = f'cx="{x:g}" cy="{y:g}" r="3.5"'
    return f"<circle {place} {painted(fill=colour if full else 'page', stroke=colour)}/>"


def arrow(points: Sequence[Point], *, tone: str = "soft", line: float = 1.5) -> str:
    """An arrow along horizontal and vertical pieces, with rounded corners, into the last point."""
    (x, y), (to_x, to_y) = points[-2], points[-1]
    length = abs(to_x - x) + abs(to_y - y)
    dx, dy = (to_x - x) / length, (to_y - y) / length
    neck = (to_x - HEAD * dx, to_y - HEAD * dy)
    wings = [(neck[0] - 0.55 * HEAD * side * dy, neck[1] + 0.55 * HEAD * side * dx)
             for side in (1, -1)]  # fmt: skip
    head = " ".join(f"{a:g},{b:g}" for a, b in [(to_x, to_y), *wings])
    return (
        f'<path d="{rounded([*points[:-1], neck])}" fill="none" {painted(stroke=tone)} '
        f'stroke-width="{line:g}"/><polygon points="{head}" {painted(fill=tone)}/>'
    )


def rounded(points: Sequence[Point], radius: float = 8) -> str:
    """The path through these points, horizontal and vertical pieces, with rounded corners."""
    path = "M{:g} {:g}".format(*points[0])
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = towards(corner, before, radius), towards(corner, after, radius)
        path += "L{:g} {:g}Q{:g} {:g} {:g} {:g}".format(*start, *corner, *end)
    return path + "L{:g} {:g}".format(*points[-1])


def towards(point: Point, other: Point, distance: float) -> Point:
    """The point this far from one point on the way to another."""
    length = abs(other[0] - point[0]) + abs(other[1] - point[1])
    share = min(1, distance / length)
    return tuple(a + share * (b - a) for a, b in zip(point, other, strict=True))


def group(parts: Iterable[str], *, lit: bool = True) -> str:
    """The parts as one, faint unless lit."""
    faint = "" if lit else ' opacity="0.36"'
    return f"<g{faint}>{''.join(parts)}</g>"
