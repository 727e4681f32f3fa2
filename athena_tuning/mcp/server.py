"""The MCP server: tools and resources of a memory, over stdio or streamable HTTP."""

from __future__ import annotations

from importlib.metadata import version

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from athena_tuning.mcp.tools import MemoryTools
from athena_tuning.recall.contract import Remembering
from athena_tuning.service.access import HOSTS_SETTING, OperatorToken, host_name, is_known_host

INSTRUCTIONS = """\
A memory that keeps what you tell it between conversations. Recall before you answer from memory; remember
what will be needed later: facts (semantic), what happened (episodic), how things are done (procedural), plans
(prospective), relations (graph). Use one scope for each project or conversation. Give feedback on recalls."""


def make_server(manager: Remembering) -> MCPServer:
    """Return a server over a memory: its tools are those of ``MemoryTools``, its resources the items."""
    server = MCPServer(
        "athena-tuning", version=version("athena-tuning"), instructions=INSTRUCTIONS, log_level="WARNING"
    )
    tools = MemoryTools(manager)
    looks = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    server.add_tool(tools.recall, annotations=looks)
    server.add_tool(tools.status, annotations=looks)
    server.add_tool(
        tools.remember,
        annotations=ToolAnnotations(destructive_hint=False, idempotent_hint=False, open_world_hint=False),
    )
    server.add_tool(
        tools.forget,
        annotations=ToolAnnotations(destructive_hint=True, idempotent_hint=True, open_world_hint=False),
    )
    server.add_tool(
        tools.feedback,
        annotations=ToolAnnotations(destructive_hint=False, idempotent_hint=True, open_world_hint=False),
    )
    server.resource("memory://items/{scope}/{id}", name="item", mime_type="application/json")(tools.item)
    return server


def http_app(server: MCPServer, token: OperatorToken) -> ASGIApp:
    """Return the server as an application under ``/mcp``, for clients that send the token."""
    unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # checked before it, below
    return _TokenOnly(server.streamable_http_app(transport_security=unchecked), token)


class _TokenOnly:
    """Lets a request pass that carries the token and names a host that is known."""

    def __init__(self, app: ASGIApp, token: OperatorToken) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(Headers(scope=scope))) is not None:
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, headers: Headers) -> PlainTextResponse | None:
        if not is_known_host(headers.get("host")):
            name = host_name(headers.get("host"))
            return PlainTextResponse(f"not known as {name!r}; {HOSTS_SETTING} lists further names", 421)
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not self._token.opens(given):
            why = 'send the token that the server printed: "Authorization: Bearer …"'
            return PlainTextResponse(why, 401, {"WWW-Authenticate": "Bearer"})
        return None
