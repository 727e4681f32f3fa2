"""Colours and form: one palette for both themes, told apart by people with any colour vision.

The ten series colours of each theme are in ``.streamlit/config.toml``. Charts name them by position:
Streamlit puts the running theme's colour in place of each name, in light and in dark.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

BLUE: Final = "#000001"
AMBER: Final = "#000002"
CRIMSON: Final = "#000003"
TEAL: Final = "#000004"
SLATE: Final = "#000006"
"""Plotly: the theme's series colours by position."""

PERCENTILES: Final = {"p50": BLUE, "p95": AMBER, "p99": CRIMSON}

# ECharts takes the series colours in order; what is no series has one tone that reads on both themes.
MARK: Final = "#7f8ea3"
QUIET: Final = "rgba(127,142,163,0.22)"
FAINT: Final = "rgba(127,142,163,0.08)"
CLEAR: Final = "rgba(0,0,0,0)"
TARGET: Final = "#d9822b"
PLAIN: Final = "#4a90d9"
GOOD: Final = "#1f9d7a"
BAD: Final = "#d6456b"
NOTED: Final = "#8b6fd8"

MARK_AND_NAME: Final = str(Path(__file__).with_name("mark.svg"))
ICON: Final = str(Path(__file__).with_name("icon.svg"))
STYLE: Final = Path(__file__).with_name("theme.css")
"""What the theme file cannot say: cards, chips and small tables, in both themes by ``light-dark()``."""
