"""Writes the tables of bench/README.md from the results, between two marks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import peers

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


def write(results: Mapping[str, Any]) -> None:
    """Replace what stands between the marks."""
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{tables(results)}\n{END}{after}")


def tables(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    machine = results.get("machine", {})
    parts = [f"Machine: {machine.get('cores')} cores, {machine.get('system')}, Python {machine.get('python')}."]
    for name, entry in results.items():
        if name == "machine":
            continue
        result = entry["result"]
        parts.append(f"### {name}\n\nMeasured {entry['at']}.")
        if name == "accounts":
            parts.append(table(result["rows"]))
            slopes = {key: result[key] for key in ("first_slope", "steady_slope")}
            parts.append(table([slopes]))
        elif name == "scale":
            parts.append(f"{result['size']}. The audits alone:\n\n{table(result['rows'])}")
            parts.append(f"The operator on a real API server:\n\n{table(result['operator'])}")
        elif isinstance(result, list):
            parts.append(table(result))
        else:
            parts.append(table([{key: value for key, value in result.items() if key != "samples"}]))
        if name == "peers":
            by = {
                figure: ", ".join(f"{tool} {ratio} times" for tool, ratio in peers.ratios(result, figure).items())
                for figure in ("wall", "cpu")
            }
            parts.append(
                f"At 1,000 users the others take, by wall time: {by['wall'] or 'none was installed'}; by CPU time, "
                f"which a busy machine changes less: {by['cpu'] or 'none was installed'}."
            )
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(rows[0])
    lines: Iterable[Sequence[str]] = [
        columns,
        ["---"] * len(columns),
        *[[str(row[column]) for column in columns] for row in rows],
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
