"""Two pictures: calls and wall time over the number of users, us and the peers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

TITLES = {
    "calls": ("Calls to AWS for one audit of one account", "calls"),
    "wall": ("Wall time of one audit as a whole process", "seconds"),
}


def draw(rows: Iterable[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw calls.png and wall.png, both axes logarithmic. Returns their paths."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    by_tool: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_tool[str(row["tool"])].append(row)
    paths = []
    for figure, (title, label) in TITLES.items():
        picture, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
        for tool, points in by_tool.items():
            xs, ys = [point["users"] for point in points], [point[figure] for point in points]
            axes.plot(xs, ys, marker="o", linewidth=2.5 if tool == "mfa-operator" else 1.2, label=tool)
        axes.set(xscale="log", yscale="log", xlabel="IAM users", ylabel=label, title=title)
        axes.grid(visible=True, which="both", alpha=0.3)
        axes.legend()
        paths.append(folder / f"{figure}.png")
        picture.savefig(paths[-1], dpi=110)
        plt.close(picture)
    return paths
