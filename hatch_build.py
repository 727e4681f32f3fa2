"""Puts the app, its pages and the sample data into the wheel; an editable install finds them in place."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TRAVELS = ("app.py", "pages", "sample_data", "monitoring", ".streamlit")


class DashboardInWheel(BuildHookInterface[Any]):
    """Maps the top-level app files to ``athena_tuning/dashboard/`` in a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files unless this is an editable build."""
        if version == "standard":
            build_data["force_include"] |= {name: f"athena_tuning/dashboard/{name}" for name in TRAVELS}
