"""What goes over the wire: JSON in the body, what a recall needs on its way in the headers.

Headers are percent-encoded. Any language can ask: ``docs/cluster.md`` shows one message of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from nats.aio.msg import Msg

from athena_tuning.cluster.address import Address
from athena_tuning.model import ConfigVersion, Source, TuningConfig
from athena_tuning.recall.items import BadItems
from athena_tuning.recall.request import RecallRequest
from athena_tuning.store import ConfigConflict, StoreError

QUERY_ID, UNTIL, TRY = "Athena-Query-Id", "Athena-Until", "Athena-Try"
SCOPE, PRIORITY, SOURCE, MEMBER = "Athena-Scope", "Athena-Priority", "Athena-Source", "Athena-Member"
RETRY_AFTER = "Retry-After"
CODE, REASON = "Nats-Service-Error-Code", "Nats-Service-Error"

BUSY, HERE, BAD, NO_RESPONDERS = "429", "409", "400", "503"
"""It has too much to do; it has this very recall under way; it failed; nobody listens."""

FIRST, LAST, HEDGE = "first", "last", "hedge"
"""Which try at a recall it is: only the last one's refusal is final; a hedge is recorded if it wins."""


class NobodyThere(ConnectionError):
    """No manager of the cluster listens."""


def nobody_there(address: Address) -> NobodyThere:
    """Return the error that says so, and the way out."""
    return NobodyThere(
        f"no manager answers in the cluster {address.shown}: start some with "
        f"`athena-tuning cluster start`, or `athena-tuning manager --serve {address.shown}`"
    )


@dataclass(slots=True)
class Envelope:
    """What a recall needs on its way.

    Attributes:
        query_id: the same for all tries.
        until: Unix seconds after which nobody waits for the answer.
        attempt: FIRST, LAST or HEDGE.
        scope: of the recall.
        source: as which it is recorded.
        trace: headers of the tracing system.
    """

    query_id: str
    until: float
    attempt: str = FIRST
    scope: str | None = None
    source: str = Source.LIVE.value
    background: bool = False
    trace: Mapping[str, str] | None = None

    def to_headers(self) -> dict[str, str]:
        """Return it as headers."""
        headers = {QUERY_ID: quote(self.query_id), UNTIL: f"{self.until:.3f}", TRY: self.attempt}
        if self.scope is not None:
            headers[SCOPE] = quote(self.scope)
        if self.source != Source.LIVE.value:
            headers[SOURCE] = quote(self.source)
        if self.background:
            headers[PRIORITY] = "background"
        return {**headers, **self.trace} if self.trace else headers

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Envelope:
        """Read it.

        Raises:
            ValueError: if the time is none.
        """
        scope = headers.get(SCOPE)
        return cls(
            unquote(headers.get(QUERY_ID, "")),
            float(headers.get(UNTIL, "inf")),
            headers.get(TRY, LAST),
            None if scope is None else unquote(scope),
            unquote(headers.get(SOURCE, Source.LIVE.value)),
            headers.get(PRIORITY) == "background",
            headers,
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):  # a read-only one
        return dict(value)
    raise TypeError(f"{value!r:.80} has no form in JSON")


def encode(value: Any) -> bytes:
    """Return a value as JSON; NaN becomes null.

    Raises:
        ValueError: if part of it has no form in JSON.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except (TypeError, UnicodeEncodeError) as exc:
        raise ValueError(f"this cannot go over the wire: {exc}") from exc


decode = msgspec.json.decode


def encode_answer(answer: Mapping[str, Any]) -> bytes:
    """Return an answer as JSON; what a layer of one's own put into an item and JSON lacks becomes text."""
    try:
        return msgspec.json.encode(answer, enc_hook=str)
    except UnicodeEncodeError:
        return msgspec.json.encode(_mended(answer), enc_hook=str)


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_mended(str(name)): _mended(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mended(part) for part in value]
    return value


def encode_request(request: RecallRequest) -> bytes:
    """Return the body of a recall, without what its headers say."""
    body = {"query": request.query, "k": request.k, "layers": request.layers}
    context = {name: value for name, value in (request.context or {}).items() if name != "priority"}
    if context:
        body["context"] = context
    if not request.use_cache:
        body["use_cache"] = False
    if not request.use_parallel:
        body["use_parallel"] = False
    return encode(body)


def decode_request(data: bytes, envelope: Envelope) -> RecallRequest:
    """Read what is asked.

    Raises:
        ValueError: if it is no recall.
    """
    try:
        return request_of(decode(data), envelope)
    except msgspec.DecodeError as exc:
        raise ValueError(f"this is no recall: {exc}") from exc


def request_of(body: Any, envelope: Envelope) -> RecallRequest:
    """Return what is asked, from its decoded body.

    Raises:
        ValueError: if it is no recall.
    """
    try:
        fields = dict(body)
        context = dict(fields.pop("context", None) or {})
        if envelope.background:
            context["priority"] = "background"
        scope = fields.pop("scope", envelope.scope)
        return RecallRequest(**fields, context=context, scope=scope)
    except (TypeError, AttributeError) as exc:
        raise ValueError(f"this is no recall: {exc}") from exc


def status_of(msg: Msg) -> str:
    """Return what a reply says of itself: "" for an answer, else one of the codes above."""
    headers = msg.headers
    if not headers:
        return ""
    return headers.get("Status") or headers.get(CODE) or ""


def encode_error(error: BaseException) -> bytes:
    """Return an error so that the other side can raise it."""
    fields: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, BadItems):
        fields |= {"bad": error.bad, "kept": error.kept}
    elif isinstance(error, ConfigConflict):
        fields |= {
            "expected": error.expected,
            "current": error.current,
            "proposed": error.proposed,
            "scope": error.scope,
        }
    return encode(msgspec.to_builtins(fields))


def decode_error(data: bytes) -> Exception:
    """Return the error that the other side met."""
    try:
        fields = decode(data)
        kind, message = fields["kind"], fields["message"]
        if kind == "BadItems":
            return BadItems([(position, why) for position, why in fields["bad"]], fields["kept"])
        if kind == "ConfigConflict":
            current = fields["current"] and msgspec.convert(fields["current"], ConfigVersion)
            proposed = TuningConfig.from_dict(fields["proposed"])
            return ConfigConflict(fields["expected"], current or None, proposed, fields["scope"])
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError):
        return RuntimeError(f"a manager of the cluster failed: {data!r:.200}")
    known = {"ValueError": ValueError, "StoreError": StoreError, "TimeoutError": TimeoutError}
    return known[kind](message) if kind in known else RuntimeError(f"{kind}: {message}")
