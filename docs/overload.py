"""Draws ``docs/overload.svg``: an overload in virtual time, with and without admission."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))

from overload import CALM, IN_TIME_MS, WORLDS, poisson_times, trace  # noqa: E402

from athena_tuning.model import TuningConfig  # noqa: E402

WIDTH, HEIGHT, LEFT, TOP, GAP = 760, 150, 70, 40, 60
STORM, SECONDS = 60, 100
COLOURS = {"with admission": "#1f9d7a", "where all wait": "#d6456b"}


def main() -> None:
    """Run both and write the picture."""
    world = WORLDS[1]
    storm = poisson_times(2 * world.capacity, STORM, 1)
    times = storm + poisson_times(CALM * world.capacity, SECONDS - STORM, 2, storm[-1])
    asked = trace(times, 1)
    second = np.minimum(np.array(times).astype(int), SECONDS - 1)
    in_time, waits = {}, {}
    for name, after in (("with admission", TuningConfig().overload_after_seconds), ("where all wait", None)):
        latency = world.run(asked, TuningConfig(world.limit, overload_after_seconds=after)).latency_ms
        in_time[name] = np.bincount(second, latency <= IN_TIME_MS, SECONDS) / world.capacity
        answered = np.isfinite(latency)
        waits[name] = (
            np.bincount(second[answered], latency[answered], SECONDS)
            / np.maximum(np.bincount(second[answered], minlength=SECONDS), 1)
            / 1000
        )
    panels = (
        _panel("answered within 0.5 s, by second in which they came (of capacity)", in_time, 1.25, TOP),
        _panel("mean latency of the answered, s", waits, 60.0, TOP + HEIGHT + GAP),
    )
    height = TOP + 2 * HEIGHT + GAP + 50
    (HERE / "overload.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {height}"'
        ' font-family="sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{"".join(panels)}{_legend(height - 14)}</svg>\n',
        "utf-8",
    )


def _panel(title: str, lines: dict[str, npt.NDArray[np.float64]], most: float, top: float) -> str:
    def x(at: float) -> float:
        return LEFT + at / SECONDS * WIDTH

    def y(value: float) -> float:
        return top + HEIGHT * (1 - min(value, most) / most)

    parts = [
        f'<text x="{LEFT}" y="{top - 10}" fill="#333">{title}</text>\n',
        f'<rect x="{x(0)}" y="{top}" width="{x(STORM) - x(0)}" height="{HEIGHT}" fill="#f3efe6"/>\n',
    ]
    parts += [
        f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y(value)}" y2="{y(value)}" stroke="#ccc"/>'
        f'<text x="{LEFT - 8}" y="{y(value) + 4}" text-anchor="end" fill="#666">{value:g}</text>\n'
        for value in (0, most / 2, most)
    ]
    parts += [
        f'<text x="{x(at)}" y="{top + HEIGHT + 18}" text-anchor="middle" fill="#666">{at} s</text>\n'
        for at in range(0, SECONDS + 1, 20)
    ]
    for name, values in lines.items():
        points = " ".join(f"{x(i + 0.5):.1f},{y(value):.1f}" for i, value in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>\n')
    return "".join(parts)


def _legend(y: float) -> str:
    parts = [f'<text x="{LEFT}" y="{y}" fill="#666">shaded: twice the capacity, then 0.8 of it</text>\n']
    for i, (name, colour) in enumerate(COLOURS.items()):
        at = LEFT + 420 + i * 170
        parts.append(
            f'<line x1="{at}" x2="{at + 24}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="3"/>'
            f'<text x="{at + 30}" y="{y}" fill="#333">{name}</text>\n'
        )
    return "".join(parts)


if __name__ == "__main__":
    main()
