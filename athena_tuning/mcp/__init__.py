"""A memory for agents, over the Model Context Protocol: ``athena-tuning mcp``."""

from __future__ import annotations

from athena_tuning.extras import needs_extra

with needs_extra("mcp", "The MCP server"):
    import mcp as mcp
