"""The sheet that the panels are drawn on: places in pixels, colours, sizes, and how values are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.text import Text

INK, FAINT, LINE, CANVAS = "#24292e", "#6a737d", "#dfe1e4", "#f4f5f5"
COLOURS = {"green": "#1a7f4b", "orange": "#d97706", "red": "#cf222e", "purple": "#7a5fc0"}
TITLE, TEXT, SMALL = 13.5, 13.0, 11.5
SWATCH, LEGEND_LINE = 25.0, 23.0
"""In pixels, as all places are."""
UNITS = ((86400.0, "days"), (3600.0, "hours"), (60.0, "min"), (1.0, "s"))

Box = tuple[float, float, float, float]
"""Left, top, width and height."""


def humanized(value: float, unit: str, decimals: int | None = None) -> str:
    """A value in its unit, as people read it."""
    if unit == "percentunit":
        return f"{100 * value:.{decimals or 0}f} %"
    if unit == "s":
        size, name = next((each for each in UNITS if abs(value) >= each[0]), UNITS[-1])
        return f"{value / size:.1f}".removesuffix(".0") + f" {name}"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    text = f"{value:.3g}" if decimals is None else f"{value:.{decimals}f}"
    return f"{text} req/s" if unit == "reqps" else text


@dataclass(frozen=True)
class Canvas:
    """A picture in pixels from its top left corner, of Grafana's 24 columns and rows of one height."""

    figure: Figure
    width: float
    height: float
    top: float
    row: float
    gap: float = 10.0

    def box(self, place: Mapping[str, int]) -> Box:
        """Where a gridPos is."""
        column = (self.width - self.gap) / 24
        left, top = self.gap + place["x"] * column, self.top + place["y"] * self.row
        return left, top, place["w"] * column - self.gap, place["h"] * self.row - self.gap

    def text(self, x: float, y: float, text: str, **style: Any) -> Text:  # noqa: ANN401 - what matplotlib takes
        settings = {"color": INK, "fontsize": TEXT, "va": "center", **style}
        return self.figure.text(x / self.width, 1 - y / self.height, text, **settings)

    def frame(self, left: float, top: float, width: float, height: float) -> None:
        self.figure.add_artist(
            FancyBboxPatch(
                (left, self.height - top - height),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=4",
                transform=None,
                facecolor="white",
                edgecolor=LINE,
                linewidth=1,
            )
        )

    def swatch(self, x: float, y: float, colour: tuple[float, ...] | str) -> None:
        self.figure.add_artist(
            Rectangle((x, self.height - y - 2), SWATCH - 7, 4, transform=None, facecolor=colour, linewidth=0)
        )

    def share(self, left: float, top: float, width: float, height: float) -> Box:
        """A box as the figure wants it: in shares of it, from its bottom left corner."""
        return left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height

    def measured(self, text: Text) -> tuple[float, float]:
        """Width and height in pixels."""
        extent = text.get_window_extent()
        return extent.width, extent.height
