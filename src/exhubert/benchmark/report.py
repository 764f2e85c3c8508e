"""Renders the results of the benchmark as Markdown tables, as plots and as a section of a README."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..files import ACCENT, INK, PALE, save_figure, write_whole

BEGIN, END = "<!-- performance: written by recipes/bench.py -->", "<!-- end of performance -->"


def rows(part: Mapping[str, Any]) -> list[str]:
    """A Markdown table of one part; each case is compared with the first one, the reference."""
    cases: Mapping[str, Mapping[str, Any]] = part["cases"]
    by = part.get("by", "median_s")
    timed = by != "peak_mb"
    reference = next(iter(cases.values()))[by]
    clips = part.get("clips")
    columns: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
        "s (least to most)": lambda case: (
            f"{case['median_s']:.2f} ({case['least_s']:.2f} to {case['most_s']:.2f})" if timed else None
        ),
        "CPU s": lambda case: f"{case['cpu_s']:.2f}" if by == "cpu_s" else None,
        "clips/s": lambda case: f"{clips / case['median_s']:.2f}" if clips else None,
        "s per hour of audio": lambda case: f"{case['s_per_hour']:.1f}" if "s_per_hour" in case else None,
        "speed": lambda case: f"{reference / case[by]:.2f}" if timed else None,
        "GFLOP/s": lambda case: f"{case['gflops']:.0f}" if case.get("gflops") else None,
        "of the roof": lambda case: f"{case['roof_share']:.0%}" if case.get("roof_share") else None,
        "peak MiB": lambda case: f"{case['peak_mb']:,.0f}" if case.get("peak_mb") else None,
        "of the reference": lambda case: None if timed else f"{case['peak_mb'] / reference:.0%}",
        "difference": lambda case: f"{case['difference']:.1e}" if case.get("difference") is not None else None,
        "same class": lambda case: f"{case['agreement']:.1%}" if case.get("agreement") is not None else None,
        "UAR %": lambda case: f"{100 * case['uar']:.1f}" if case.get("uar") is not None else None,
    }
    cells = {title: [cell(case) for case in cases.values()] for title, cell in columns.items()}
    cells = {title: column for title, column in cells.items() if any(column)}
    lines = [f"| case | {' | '.join(cells)} |", "|" + " --- |" * (len(cells) + 1)]
    for name, *row in zip(cases, *cells.values(), strict=True):
        lines.append(f"| {name} | {' | '.join(cell or '' for cell in row)} |")
    return lines


def growth_rows(growth: Mapping[str, Any]) -> list[str]:
    """A Markdown table of seconds and peak memory at each point, one row per quantity that grows."""
    lines = ["| grows with | s | peak MiB |", "| --- | --- | --- |"]
    for series in growth.values():
        seconds = ", ".join(
            f"{point}: {value:.2f}" for point, value in zip(series["points"], series["seconds"], strict=True)
        )
        peaks = ", ".join(f"{value:,.0f}" for value in series["peak_mb"])
        lines.append(f"| {series['what']} | {seconds} | {peaks} |")
    return lines


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report in Markdown: one line for the machine, and a table for each part."""
    machine = report["machine"]
    roof = ", ".join(f"{kind} {rate:.0f}" for kind, rate in machine["roof_gflops"].items())
    text = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{' '.join(machine['features'])}; torch {machine['torch']}. A product of matrices reaches (GFLOP/s): {roof}."
    ]
    for name, part in report["parts"].items():
        if name == "growth":
            text += ["", "**growth**: one forward pass of 3 s where not said, fp32.", "", *growth_rows(part)]
        else:
            rounds = f"{part['rounds']} round{'s in turn' if part['rounds'] > 1 else ''}"
            size = f"{part['size']} model; " if part["size"] else ""
            text += ["", f"**{name}**: {size}{part['what']}; {rounds}.", "", *rows(part)]
    return "\n".join(text)


def write_into(readme: str | Path, report: Mapping[str, Any]) -> None:
    """Writes the report between the two marks of a README, `BEGIN` and `END`.

    Raises:
        ValueError: A mark is missing, or there twice.
    """
    with Path(readme).open(encoding="utf-8", newline="") as stream:
        text = stream.read()
    if not (text.count(BEGIN) == text.count(END) == 1 and text.index(BEGIN) < text.index(END)):
        raise ValueError(f"{readme} has no section to write into; add one line {BEGIN} and below it one line {END}.")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    write_whole(Path(readme), f"{before}{BEGIN}\n\n{markdown(report)}\n\n{END}{after}")


def plot(report: Mapping[str, Any], path: str | Path) -> None:
    """Plots each case as a bar, a multiple of the reference's speed with the spread over rounds, and growth below."""
    from matplotlib.figure import Figure

    parts = {name: part for name, part in report["parts"].items() if name != "growth"}
    growth = report["parts"].get("growth", {})
    heights = [len(part["cases"]) for part in parts.values()] + [6] * bool(growth)
    figure = Figure(figsize=(8, 1.0 + 0.42 * sum(heights) + 0.5 * len(heights)), layout="constrained")
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    for number, (name, part) in enumerate(parts.items()):
        axis = figure.add_subplot(grid[number])
        cases = part["cases"]
        by = part.get("by", "median_s")
        base = next(iter(cases.values()))
        for row, case in enumerate(cases.values()):
            speed = base[by] / case[by]
            slowest, fastest = (speed * case["median_s"] / case[end] for end in ("most_s", "least_s"))
            spread = [[max(0.0, speed - slowest)], [max(0.0, fastest - speed)]] if by != "peak_mb" else None
            fastest = fastest if spread else speed
            axis.barh(row, speed, color=PALE if row == 0 else ACCENT, xerr=spread, ecolor=INK, height=0.6)
            axis.annotate(f"{speed:.2f}", (fastest, row), xytext=(6, 0), textcoords="offset points",
                          va="center", fontsize=8)  # fmt: skip
        axis.set_yticks(range(len(cases)), list(cases), fontsize=8)
        axis.set_ylim(len(cases) - 0.5, -0.5)
        axis.margins(x=0.15)
        title = "this many times less memory than" if by == "peak_mb" else "times the speed of"
        axis.set_title(f"{name}: {title} {next(iter(cases))}", loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    if growth:
        below = grid[len(parts)].subgridspec(1, len(growth))
        for number, series in enumerate(growth.values()):
            axis = figure.add_subplot(below[number])
            axis.loglog(series["points"], series["seconds"], "o-", color=ACCENT)
            axis.set_xticks(series["points"], [str(point) for point in series["points"]], fontsize=8)
            axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
            axis.set_xlabel(series["what"], fontsize=8)
            axis.set_title("growth", loc="left", fontsize=8)
            axis.set_ylabel("s", fontsize=8)
            axis.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
