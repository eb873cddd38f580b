"""Draw docs/images/dashboard.png: the dashboard's own queries, asked of a real Prometheus that holds a made-up company.

Grafana takes no part: layout, units and thresholds are read from deploy/grafana/mfa-operator.json.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.chart.dashboard import DASHBOARD, filled
from tests.chart.prometheus import Prometheus, Series
from tests.programs import find_prometheus, find_promtool
from tools.dashboard_picture_canvas import CANVAS, FAINT, Canvas
from tools.dashboard_picture_panels import draw
from tools.dashboard_picture_story import END, Story

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "dashboard.png"
WIDTH, ROW, TOP, BOTTOM, DPI = 1600, 37, 70, 50, 100
SCRAPE = 60
# What Grafana rounds a step to, in seconds; of these only those that can come.
STEPS = (15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
UNITS = {"m": 60, "h": 3600, "d": 86400}
FOOTER = "Sample data. Drawn from the dashboard's queries and layout; not by Grafana."


def seconds(duration: str) -> int:
    """Of a duration such as 15m or 90d."""
    return int(duration[:-1]) * UNITS[duration[-1]]


def shown_seconds(panel: Mapping[str, Any]) -> int:
    """How far back a panel shows."""
    return seconds(panel.get("timeFrom") or DASHBOARD["time"]["from"].removeprefix("now-"))


def ask(prometheus: Prometheus, panel: Mapping[str, Any], target: Mapping[str, Any]) -> list[Series]:
    """What a query of a panel finds, with step and variables as Grafana chooses them."""
    span = shown_seconds(panel)
    pixels = WIDTH * panel["gridPos"]["w"] / 24
    step = next(each for each in STEPS if each >= max(span / pixels, seconds(panel.get("interval", "1m"))))
    window = f"{max(step + SCRAPE, 4 * SCRAPE)}s"
    expr = filled(target["expr"], interval=f"{step}s", rate_interval=window, range_=f"{span}s")
    end = END.timestamp()
    found = prometheus.instant(expr, end) if target["instant"] else prometheus.range(expr, end - span, end, step)
    return [series for series in found if series.samples]


def draw_all(prometheus: Prometheus, path: Path) -> None:
    """Draw every panel at its place."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in DASHBOARD["panels"])
    height = TOP + rows * ROW + BOTTOM
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=CANVAS)
    # It measures texts, too.
    agg: Any = FigureCanvasAgg(figure)
    canvas = Canvas(figure, WIDTH, height, TOP, ROW)
    canvas.text(12, TOP / 2, DASHBOARD["title"], fontsize=20, weight="bold")
    choices = "Cluster  All      Namespace  All      Policy  All      Account  All      Last 24 hours"
    canvas.text(WIDTH - 14, TOP / 2, choices, ha="right", color=FAINT)
    for panel in DASHBOARD["panels"]:
        answers = [(target, ask(prometheus, panel, target)) for target in panel.get("targets", ())]
        draw(canvas, panel, answers, (END - timedelta(seconds=shown_seconds(panel)), END))
    canvas.text(WIDTH / 2, height - BOTTOM / 2, FOOTER, ha="center", color=FAINT)
    path.parent.mkdir(parents=True, exist_ok=True)
    agg.draw()
    # Pillow comes with matplotlib. So imported, it is Any to mypy, which has neither where `make bench` never ran.
    image: Any = importlib.import_module("PIL.Image")
    picture = image.frombuffer("RGBA", agg.get_width_height(), bytes(agg.buffer_rgba())).convert("RGB")
    # The most frequent colours as the palette: a third of the size, and what is drawn stays as it is.
    counted = sorted(picture.getcolors(picture.width * picture.height), reverse=True)
    palette = image.new("P", (1, 1))
    palette.putpalette([channel for _, colour in counted[:256] for channel in colour])
    picture.quantize(palette=palette, dither=image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=PICTURE, help="where the picture goes")
    path: Path = parser.parse_args().path
    with tempfile.TemporaryDirectory(prefix="mfa-dashboard-") as scratch:
        directory = Path(scratch)
        samples = directory / "samples.txt"
        samples.write_text("\n".join(Story().lines()) + "\n", encoding="utf-8")
        blocks = ["tsdb", "create-blocks-from", "openmetrics", "--quiet", "--max-block-duration=2160h"]
        command = [str(find_promtool()), *blocks, str(samples), str(directory / "data")]
        subprocess.run(command, check=True)  # noqa: S603 - our own program and files
        # It would drop what is older than 15 days.
        with Prometheus(find_prometheus(), directory, {}, "--storage.tsdb.retention.time=100y") as prometheus:
            draw_all(prometheus, path)


if __name__ == "__main__":
    main()
