"""Charts as SVG: drawn here, sharp in print, and without a script.

Lines are drawn in a box that is stretched to its place; words stand beside it, as text of the page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from markupsafe import Markup

WIDTH, HEIGHT = 600, 160
_FIGURE = Markup(
    '<figure class="chart">'
    '<div class="scale" aria-hidden="true"><span>{high}</span><span>{low}</span></div>'
    '<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
    'aria-label="{said}"><title>{said}</title>{drawn}</svg>'
    '<div class="days" aria-hidden="true"><span>{first}</span><span>{last}</span></div>'
    "<figcaption>{legend}</figcaption></figure>"
)
_FILE = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    'viewBox="0 0 {width} {height}"><title>{said}</title><style>{style}</style>{drawn}</svg>'
)
_LINE = Markup('<polyline class="line {style}" points="{points}"/>')
_AREA = Markup('<polygon class="area {style}" points="{points}"/>')
_ZERO = Markup('<line class="zero" x1="0" x2="{width}" y1="{y}" y2="{y}"/>')
_KEY = Markup(
    '<span class="key"><svg class="swatch" viewBox="0 0 20 4" aria-hidden="true">'
    '<line class="line {style}" x1="0" x2="20" y1="2" y2="2"/></svg>{label}</span>'
)
_BAR = Markup(
    '<svg class="bar {tone}" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
    '<rect class="whole" width="100" height="4"/><rect class="part" width="{width}" height="4"/>'
    "</svg>"
)


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its values by place from left to right; None where there is none."""

    label: str
    style: str
    values: Sequence[Decimal | None]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same places; a template shows it as a figure.

    `said` is what it shows, for who cannot see it; `drawn` are its shapes, and the other texts
    stand beside these.
    """

    said: str
    drawn: Markup
    legend: Markup
    first: str
    last: str
    high: str
    low: str

    def __html__(self) -> str:
        return _FIGURE.format(
            said=self.said, drawn=self.drawn, legend=self.legend, width=WIDTH, height=HEIGHT,
            first=self.first, last=self.last, high=self.high, low=self.low,
        )  # fmt: skip

    def svg(self, style: str) -> str:
        """The shapes as an SVG file, with the stylesheet that they need."""
        return _FILE.format(
            said=self.said, style=style, drawn=self.drawn, width=WIDTH, height=HEIGHT
        )


def lines(said: str, series: Sequence[Series], first: str, last: str, high: str, low: str) -> Chart:
    """A chart of lines over the same places, from `first` to `last` and from `low` to `high`."""
    bottom, top = bounds(series)
    drawn = [_ZERO.format(width=WIDTH, y=_y(Decimal(0), bottom, top))] if bottom < 0 else []
    for index, one in enumerate(series):
        points = list(_points(one.values, bottom, top))
        if index == 0 and len(points) > 1:
            floor = _y(max(bottom, Decimal(0)), bottom, top)
            left, right = points[0].split(",")[0], points[-1].split(",")[0]
            area = " ".join([f"{left},{floor}", *points, f"{right},{floor}"])
            drawn.append(_AREA.format(style=one.style, points=area))
        drawn.append(_LINE.format(style=one.style, points=" ".join(points)))
    legend = Markup(" ").join(_KEY.format(style=s.style, label=s.label) for s in series)
    return Chart(said, Markup("").join(drawn), legend, first, last, high, low)


def bar(part: Decimal, tone: str = "") -> Markup:
    """A bar of which a part, from 0 to 1, is filled; what is outside is cut to that."""
    width = min(max(part, Decimal(0)), Decimal(1)) * 100
    return _BAR.format(width=f"{width:.1f}", tone=tone)


def bounds(series: Sequence[Series]) -> tuple[Decimal, Decimal]:
    """The lowest and the highest value, zero included."""
    values = [value for one in series for value in one.values if value is not None]
    return min([*values, Decimal(0)]), max([*values, Decimal(0)])


def _points(values: Sequence[Decimal | None], bottom: Decimal, top: Decimal) -> Iterator[str]:
    step = Decimal(WIDTH) / max(len(values) - 1, 1)
    for index, value in enumerate(values):
        if value is not None:
            yield f"{step * index:.1f},{_y(value, bottom, top)}"


def _y(value: Decimal, bottom: Decimal, top: Decimal) -> str:
    """A place from the top, with room for the line's width."""
    span = top - bottom or Decimal(1)
    return f"{(top - value) / span * (HEIGHT - 4) + 2:.1f}"
