"""Show what was measured: as a table, as JSON, and as a plot."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from loads import GROWTH, Figure, Row
from servers import HERE, SERVERS

if TYPE_CHECKING:
    from collections.abc import Sequence

Results = dict[str, dict[str, Figure]]
"""Row name, then server name."""

RESULTS: Final = HERE / "results"

BUSY: Final = 0.9
"""Share of its core from which on the load generator may have been what limited a figure."""

COLOURS: Final = {"dtws_sio": "#0c7a6b", "node": "#e0a526", "stock": "#8a8f98"}

LABELS: Final = {"dtws_sio": "dtws_sio", "node": "socket.io on Node", "stock": "python-socketio on eventlet"}

_NAME: Final = 54
_COLUMN: Final = 13

HEAD: Final = (
    f"{'':{_NAME}}"
    + "".join(f"{name:>{_COLUMN}}" for name in SERVERS)
    + f"{'/node':>8}{'/stock':>8}{'aim':>6}"
    + "".join(f"{'µs ' + name:>{_COLUMN}}" for name in SERVERS)
)
"""The first line of the table; the last columns are the server's CPU time per event, delivery or request."""


def line(row: Row, figures: dict[str, Figure]) -> str:
    """Give a row of the table; an asterisk marks a figure that the load generator may have limited."""
    ratios = "".join(_cell(ratio(figures, other), 8, ".2f") for other in ("node", "stock"))
    values = "".join(_value(figures.get(name)) for name in SERVERS)
    cpu = "".join(_cell(figures[name].cpu_us if name in figures else None, _COLUMN, ".2f") for name in SERVERS)
    return f"{row.name:{_NAME}}{values}{ratios}{_cell(row.target, 6, '.1f')}{cpu}".rstrip()


def ratio(figures: dict[str, Figure], other: str) -> float | None:
    """Give this project's figure as a multiple of another server's, if both were measured."""
    if "dtws_sio" not in figures or other not in figures or not figures[other].value:
        return None
    return figures["dtws_sio"].value / figures[other].value


def _value(figure: Figure | None) -> str:
    if figure is None:
        return " " * _COLUMN
    mark = "*" if (figure.load_cpu or 0) > BUSY else ""
    text = f"{figure.value:,.0f}" if figure.value >= 100 else f"{figure.value:.2f}"
    return f"{mark + text:>{_COLUMN}}"


def _cell(value: float | None, width: int, form: str) -> str:
    return " " * width if value is None else f"{value:>{width}{form}}"


def write(rows: Sequence[Row], results: Results, rounds: int) -> None:
    """Leave table, JSON and plot in results/."""
    RESULTS.mkdir(exist_ok=True)
    table = [HEAD.rstrip(), *(line(row, results[row.name]) for row in rows)]
    (RESULTS / "latest.txt").write_text("\n".join(table) + "\n")
    (RESULTS / "latest.json").write_text(json.dumps(_document(rows, results, rounds), indent=1) + "\n")
    if find_spec("matplotlib") is None:
        print("no plot was made: pip install -e '.[bench]'")
    else:
        plot(rows, results)
    print(f"written: {', '.join(str(path.relative_to(HERE.parent)) for path in sorted(RESULTS.glob('latest.*')))}")


def _document(rows: Sequence[Row], results: Results, rounds: int) -> dict[str, Any]:
    return {
        "rounds": rounds,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("python-socketio", "python-engineio", "eventlet", "gunicorn")},
        "rows": [
            {
                "name": row.name,
                "target": row.target,
                "less_is_better": row.less_is_better,
                "ratio_to_node": ratio(results[row.name], "node"),
                "ratio_to_stock": ratio(results[row.name], "stock"),
                "servers": {name: asdict(figure) for name, figure in results[row.name].items()},
            }
            for row in rows
        ],
    }


def plot(rows: Sequence[Row], results: Results) -> None:
    """Draw the figures as multiples of Node's, and what a delivery costs with growing numbers of clients."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    growth = [row for row in rows if row in GROWTH]
    compared = [row for row in rows if row not in GROWTH and ratio(results[row.name], "node") is not None]
    parts = [part for part in ((_plot_ratios, compared), (_plot_growth, growth)) if part[1]]
    if not parts:
        return
    heights = [0.45 * len(compared) + 1.2 if part is _plot_ratios else 3.5 for part, _ in parts]
    figure, axes = pyplot.subplots(
        len(parts), figsize=(9, sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
    )
    for (part, chosen), axis in zip(parts, axes[:, 0], strict=True):
        part(axis, chosen, results)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    figure.savefig(RESULTS / "latest.svg", metadata={"Date": None})
    figure.savefig(RESULTS / "latest.png", dpi=120)


def _plot_ratios(axis: Any, rows: Sequence[Row], results: Results) -> None:
    """Draw bars to the right where a server is better than Node, and to the left where it is worse."""
    for place, name in enumerate(("dtws_sio", "stock")):
        values = [_advantage(row, results[row.name], name) for row in rows]
        heights = [number + 0.36 * place - 0.18 for number in range(len(rows))]
        lengths = [value - 1 for value in values]
        axis.barh(heights, lengths, 0.34, left=1, color=COLOURS[name], label=LABELS[name])
    axis.axvline(1, color=COLOURS["node"], label=LABELS["node"])
    axis.set_xscale("log")
    axis.set_xticks(ticks := [0.1, 0.2, 0.5, 1, 2, 5, 10], [f"{tick:g}x" for tick in ticks], minor=False)
    axis.set_yticks(range(len(rows)), [row.name.partition(" [")[0] for row in rows])
    axis.invert_yaxis()
    axis.set_title("as good as Node's socket.io, times (right is better)", loc="left", fontsize=10)


def _advantage(row: Row, figures: dict[str, Figure], name: str) -> float:
    if name not in figures:
        return 1.0
    quotient = figures[name].value / figures["node"].value
    return 1 / quotient if row.less_is_better else quotient


def _plot_growth(axis: Any, rows: Sequence[Row], results: Results) -> None:
    """Draw the CPU time of a delivery over the number of clients."""
    clients = [int(row.name.removeprefix("fan-out to ").partition(" ")[0].replace(",", "")) for row in rows]
    for name in results[rows[0].name]:
        costs = [results[row.name][name].cpu_us for row in rows]
        axis.plot(clients, costs, marker="o", color=COLOURS[name], label=LABELS[name])
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("clients that get each broadcast")
    axis.set_title("CPU time of the server per delivery, µs", loc="left", fontsize=10)
