"""Charts: pure functions from data to panels, which Plotly or ECharts draws, and their words."""
