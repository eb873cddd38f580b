"""Draws the dashboard's panels by their own settings: place, unit, thresholds, legend, stacking, columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

from tests.chart.prometheus import Series
from tools.dashboard_picture_canvas import (
    COLOURS,
    FAINT,
    INK,
    LEGEND_LINE,
    SMALL,
    SWATCH,
    TITLE,
    Box,
    Canvas,
    humanized,
)

DATES: Any = dates  # it has no types
PALETTE = ("#2f7ed8", "#e08a00", "#3a9d5d", "#c4326b", "#7a5fc0", "#1f9aa8", "#8a6d3b", "#9aa1a8", "#5b8c00", "#d4574e")
TALLEST_LEGEND = 0.45
"""Of the panel's height."""
SPACINGS = (1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400, 604800, 2592000)
"""Of time on an axis, in seconds."""
Answers = Sequence[tuple[Mapping[str, Any], list[Series]]]
"""The targets of a panel, with what Prometheus says."""


def draw(canvas: Canvas, panel: Mapping[str, Any], answers: Answers, span: tuple[datetime, datetime]) -> None:
    """Draw one panel, which shows this span of time."""
    left, top, width, height = canvas.box(panel["gridPos"])
    if panel["type"] == "row":
        canvas.text(left, top + height / 2, f"▾ {panel['title']}", fontsize=TITLE + 1, weight="bold")
        return
    canvas.frame(left, top, width, height)
    title = canvas.text(left + 14, top + 22, panel["title"], fontsize=TITLE, weight="bold")
    if since := panel.get("timeFrom"):
        note = f"Last {since.removesuffix('d')} days"
        canvas.text(left + 24 + canvas.measured(title)[0], top + 23, note, color=FAINT, fontsize=SMALL)
    kinds: dict[str, Callable[..., None]] = {
        "stat": _stat,
        "timeseries": partial(_graph, span),
        "table": _table,
        "state-timeline": partial(_states, span),
    }
    defaults = panel["fieldConfig"]["defaults"]
    if not any(found for _, found in answers):
        canvas.text(left + width / 2, top + height / 2, defaults.get("noValue", "No data"), ha="center", color=FAINT)
        return
    kinds[panel["type"]](canvas, panel, answers, (left, top + 40, width, height - 40))


def _stat(canvas: Canvas, panel: Mapping[str, Any], answers: Answers, box: Box) -> None:
    left, top, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    value = answers[0][1][0].samples[-1][1]
    steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]]
    text = _mapped(defaults).get(value) or humanized(value, defaults["unit"], defaults.get("decimals"))
    colour = COLOURS[steps[-1]["color"]]
    canvas.text(left + width / 2, top + height / 2 - 6, text, ha="center", fontsize=27, weight="bold", color=colour)


def _mapped(defaults: Mapping[str, Any]) -> dict[float, str]:
    """Texts that stand for values."""
    return {
        float(value): mapped["text"]
        for each in defaults.get("mappings", ())
        if each["type"] == "value"
        for value, mapped in each["options"].items()
    }


def _colour(panel: Mapping[str, Any], name: str, number: int, count: int) -> object:
    """A line's: fixed for its name, a shade of the panel's own, or the next one of the palette."""
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == name:
            return COLOURS[override["properties"][0]["value"]["fixedColor"]]
    own = panel["fieldConfig"]["defaults"].get("color", {})
    if own.get("mode") == "shades":
        red, green, blue = to_rgb(COLOURS[own["fixedColor"]])
        lighter = 0.6 * number / max(count - 1, 1)
        return tuple(part + (1 - part) * lighter for part in (red, green, blue))
    return PALETTE[number % len(PALETTE)]


def _states(
    span: tuple[datetime, datetime], canvas: Canvas, panel: Mapping[str, Any], answers: Answers, box: Box
) -> None:
    """A band for each series, in the colour of the threshold that its value has passed."""
    left, top, width, height = box
    lines = [(_legend(target, series), series) for target, found in answers for series in found]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    begin, end = (moment.timestamp() for moment in span)
    names = [canvas.text(left + 14, 0, name, fontsize=SMALL) for name, _ in lines]
    margin = 28 + max(canvas.measured(name)[0] for name in names)
    axes: Any = canvas.figure.add_axes(
        canvas.share(left + margin, top + 8, width - margin - 24, height - 52), zorder=2, facecolor="none"
    )
    tall = (height - 52) / len(lines)
    for number, ((_, series), name) in enumerate(zip(lines, names, strict=True)):
        name.set_position(((left + 14) / canvas.width, 1 - (top + 8 + tall * (number + 0.5)) / canvas.height))
        stamps = [at for at, _ in series.samples]
        for (at, value), until in zip(series.samples, [*stamps[1:], end], strict=True):
            passed = [step for step in steps if step["value"] is None or value >= step["value"]]
            pieces = [(DATES.date2num(datetime.fromtimestamp(at, UTC)), (until - at) / 86400)]
            axes.broken_barh(pieces, (len(lines) - number - 0.85, 0.7), color=COLOURS[passed[-1]["color"]], linewidth=0)
    axes.set_ylim(0, len(lines))
    axes.set_xlim(DATES.date2num(datetime.fromtimestamp(begin, UTC)), DATES.date2num(datetime.fromtimestamp(end, UTC)))
    axes.set_yticks([])
    locator = DATES.AutoDateLocator(maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(DATES.ConciseDateFormatter(locator, show_offset=False))
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=FAINT)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _legend(target: Mapping[str, Any], series: Series) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: series.labels.get(match[1], ""), target["legendFormat"])


def _graph(
    span: tuple[datetime, datetime], canvas: Canvas, panel: Mapping[str, Any], answers: Answers, box: Box
) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    lines = [(_legend(target, series), series) for target, found in answers for series in found]
    # Above the panel's own frame.
    axes: Any = canvas.figure.add_axes(canvas.share(*box), zorder=2, facecolor="none")
    stamps = sorted({at for _, series in lines for at, _ in series.samples})
    times = [datetime.fromtimestamp(at, UTC) for at in stamps]
    floor = [0.0] * len(stamps)
    for number, (name, series) in enumerate(lines):
        colour = _colour(panel, name, number, len(lines))
        values = dict(series.samples)
        if "stacking" not in custom:
            points = [at for at in stamps if at in values or not custom.get("spanNulls")]
            xs = [datetime.fromtimestamp(at, UTC) for at in points]
            axes.plot(xs, [values.get(at, float("nan")) for at in points], color=colour, label=name, linewidth=1.8)
            continue
        roof = [low + values.get(at, 0.0) for low, at in zip(floor, stamps, strict=True)]
        if custom["drawStyle"] == "bars":
            spread = 0.8 * (stamps[1] - stamps[0]) / 86400
            axes.bar(times, [values.get(at, 0.0) for at in stamps], spread, bottom=floor, color=colour, label=name)
        else:
            axes.fill_between(times, floor, roof, color=colour, alpha=custom["fillOpacity"] / 100, linewidth=0)
            axes.plot(times, roof, color=colour, label=name, linewidth=1.6)
        floor = roof
    axes.set_xlim(*span)
    _style(axes, defaults)
    _place(canvas, axes, box)


def _style(axes: Axes, defaults: Mapping[str, Any]) -> None:
    top = defaults.get("max", 1.04 * axes.get_ylim()[1])
    axes.set_ylim(defaults.get("min", 0), top)
    if defaults["unit"] == "s":
        axes.yaxis.set_major_locator(MultipleLocator(next(each for each in SPACINGS if each >= top / 5)))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=defaults["unit"] == "short"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: humanized(value, defaults["unit"])))
    locator = DATES.AutoDateLocator(maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(DATES.ConciseDateFormatter(locator, show_offset=False))
    axes.grid(visible=True, color="#eceef0", linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=SMALL, labelcolor=FAINT)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _place(canvas: Canvas, axes: Axes, box: Box) -> None:
    """Legend at the bottom, line by line as names fit; the axes above it, with room for their labels."""
    left, top, width, height = box
    handles, names = axes.get_legend_handles_labels()
    marks: list[Any] = list(handles)
    texts = [canvas.text(0, 0, name, fontsize=SMALL) for name in names]
    places, x, line = [], 0.0, 0
    for text in texts:
        needs = SWATCH + canvas.measured(text)[0]
        if x and x + needs > width - 28:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += needs + 16
    room = LEGEND_LINE * (line + 1)
    if room > TALLEST_LEGEND * height:
        raise ValueError(f"a legend is too tall for its panel: {names}")
    for mark, text, (offset, number) in zip(marks, texts, places, strict=True):
        y = top + height - 8 - room + LEGEND_LINE * (number + 0.5)
        text.set_position(((left + 14 + offset + SWATCH) / canvas.width, 1 - y / canvas.height))
        colour = mark[0].get_facecolor() if hasattr(mark, "patches") else mark.get_color()
        canvas.swatch(left + 14 + offset, y, colour)
    margin = 16 + max(canvas.measured(label)[0] for label in axes.get_yticklabels())
    axes.set_position(canvas.share(left + margin, top + 8, width - margin - 24, height - 52 - room))


def _table(canvas: Canvas, panel: Mapping[str, Any], answers: Answers, box: Box) -> None:
    left, top, width, height = box
    defaults = panel["fieldConfig"]["defaults"]
    (organize,) = (each["options"] for each in panel["transformations"] if each["id"] == "organize")
    (order,) = panel["options"]["sortBy"]
    names = organize["renameByName"]
    texts = _mapped(defaults)
    found = answers[0][1]
    labels = sorted(found[0].labels)
    if order["displayName"] != names["Value"]:
        raise ValueError(f"{panel['title']} is not sorted by its value")
    found = sorted(found, key=lambda series: series.samples[-1][1], reverse=order["desc"])
    rows = [[names.get(label, label) for label in labels] + [names["Value"]]]
    for series in found:
        value = series.samples[-1][1]
        shown = texts.get(value) or humanized(value, defaults["unit"], defaults.get("decimals"))
        rows.append([*(series.labels[label] for label in labels), shown])
    texts_drawn = [
        [canvas.text(0, 0, text, color=INK if number else FAINT, fontsize=SMALL) for text in row]
        for number, row in enumerate(rows)
    ]
    # Columns as wide as their texts ask for, the rest of the width shared.
    needs = [max(canvas.measured(text)[0] for text in column) for column in zip(*texts_drawn, strict=True)]
    spare = (width - 28 - sum(needs)) / len(needs)
    if spare < 6:
        raise ValueError(f"the table {panel['title']} is wider than its panel")
    line = min(34.0, (height - 12) / len(rows))
    for number, row_drawn in enumerate(texts_drawn):
        for column, text in enumerate(row_drawn):
            x = left + 14 + sum(needs[:column]) + spare * column
            text.set_position((x / canvas.width, 1 - (top + 8 + line * (number + 0.5)) / canvas.height))
