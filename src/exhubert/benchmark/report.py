"""What the benchmark found, as a table, as Markdown and as a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_HEADER = "| case | s, median (least to most) | clips/s | speed | of the roof | peak MB | same class | UAR |"


def rows(part: Mapping[str, Any]) -> list[str]:
    """Markdown rows of one part: each case beside the first one, which is the reference."""
    cases: Mapping[str, Mapping[str, Any]] = part["cases"]
    reference = next(iter(cases.values()))
    lines = []
    for name, case in cases.items():
        rate = part["clips"] / case["median_s"] if part.get("clips") else None
        cells = [
            name,
            f"{case['median_s']:.2f} ({case['least_s']:.2f} to {case['most_s']:.2f})",
            f"{rate:.2f}" if rate else "",
            f"{reference['median_s'] / case['median_s']:.2f}",
            f"{case['roof_share']:.0%}" if case.get("roof_share") else "",
            f"{case['peak_mb']:.0f}" if case.get("peak_mb") else "",
            f"{case['agreement']:.1%}" if case.get("agreement") is not None else "",
            f"{100 * case['uar']:.1f}" if case.get("uar") is not None else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def markdown(report: Mapping[str, Any]) -> str:
    """The whole report: the machine in a line, and a table for each part."""
    machine = report["machine"]
    roof = ", ".join(f"{kind} {rate:.0f}" for kind, rate in machine["roof_gflops"].items())
    text = [
        f"{machine['cores']} cores, {machine['threads']} threads, {' '.join(machine['features'])}, torch "
        f"{machine['torch']}; a product of matrices reaches (GFLOP/s): {roof}."
    ]
    for name, part in report["parts"].items():
        text += ["", f"**{name}**: {part['what']}; {part['rounds']} rounds in turn.", "", _HEADER]
        text += ["|" + " --- |" * (_HEADER.count("|") - 1), *rows(part)]
    return "\n".join(text)


def plot(report: Mapping[str, Any], path: str | Path) -> None:
    """A bar for each case, as a multiple of the speed of the reference, with the spread over the rounds."""
    from matplotlib.figure import Figure

    parts = report["parts"]
    heights = [len(part["cases"]) for part in parts.values()]
    figure = Figure(figsize=(8, 1.0 + 0.42 * sum(heights) + 0.5 * len(heights)), layout="constrained")
    axes = figure.subplots(len(parts), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (name, part) in zip(axes, parts.items(), strict=True):
        cases = part["cases"]
        base = next(iter(cases.values()))["median_s"]
        for row, found in enumerate(cases.values()):
            speed = base / found["median_s"]
            spread = [[speed - base / found["most_s"]], [base / found["least_s"] - speed]]
            axis.barh(row, speed, color="#9fb3c8" if row == 0 else "#2364aa", xerr=spread, ecolor="#1f2933", height=0.6)
            axis.annotate(f"{speed:.2f}", (base / found["least_s"], row), xytext=(6, 0), textcoords="offset points",
                          va="center", fontsize=8)  # fmt: skip
        axis.set_yticks(range(len(cases)), list(cases), fontsize=8)
        axis.set_ylim(len(cases) - 0.5, -0.5)
        axis.margins(x=0.15)
        axis.set_title(f"{name}: times the speed of {next(iter(cases))}", loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
