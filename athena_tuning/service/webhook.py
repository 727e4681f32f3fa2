"""Alerts to an HTTP address: each beginning and each end is taken by the receiver at most once.

Before a message is sent it is written down in the store that it is being sent. What the receiver surely did
not take (no connection, or an answer of 429 or 5xx) is tried again, after 2, 4, 8, … seconds, at most a
quarter of an hour later. What it may have taken (sent, but no answer) is not sent again, nor is what a
process that ended was sending: no message is better than two that wake somebody up twice. The header
``Idempotency-Key`` is the same for each try. Several processes take turns by a lease of the store.
"""

from __future__ import annotations

import http.client
import json
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from athena_tuning.service.alerts import Alert, in_json
from athena_tuning.store import Store

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 900.0
GIVES_UP_SECONDS = 86_400.0
TIMEOUT_SECONDS = 5.0
_LEASE, _LEASE_SECONDS = "alert webhook", 30.0
_TOPIC = "alert deliveries"


class Delivery(StrEnum):
    """What became of a message."""

    SENDING = "sending"
    TAKEN = "taken"
    NOT_TAKEN = "not taken"
    UNKNOWN = "unknown"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class _State:
    delivery: Delivery
    tries: int = 0
    due: float = 0.0

    @classmethod
    def read(cls, text: str) -> _State:
        word, tries, due = text.rsplit(" ", 2)
        return cls(Delivery(word), int(tries), float(due))

    def __str__(self) -> str:
        return f"{self.delivery} {self.tries} {self.due:.1f}"


class Webhook:
    """Sends alerts as JSON.

    Args:
        url: http or https.
        store: remembers what was sent, whichever process sent it.
        holder: this process' name, for the lease.
        clock: Unix seconds.

    Raises:
        ValueError: if the address is none of http or https.
    """

    def __init__(
        self, url: str, store: Store, *, holder: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._url = urlsplit(url)
        if self._url.scheme not in {"http", "https"} or not self._url.hostname:
            raise ValueError("a webhook is http://HOST/… or https://HOST/…")
        self._store = store
        self._holder = holder
        self._clock = clock

    def deliver(self, alerts: Iterable[Alert]) -> list[str]:
        """Send what is due of some alerts; return the keys of the messages that were taken.

        Alerts that began more than a day ago are passed over.

        Raises:
            StoreError: if the store cannot be read or written; what was not sent by then stays due.
        """
        if not self._is_its_turn():
            return []
        taken: list[str] = []
        known = {key: _State.read(text) for key, text in self._store.posted(_TOPIC).items()}
        for alert in sorted(alerts, key=lambda alert: alert.began):
            if self._clock() - max(alert.began, alert.ended or 0.0) > GIVES_UP_SECONDS:
                continue
            for key, body in _messages(alert):
                state = known.get(key, _State(Delivery.NOT_TAKEN))
                if state.delivery is Delivery.SENDING:
                    self._note(key, _State(Delivery.UNKNOWN, state.tries))
                elif state.delivery is Delivery.NOT_TAKEN and state.due <= self._clock():
                    if not self._is_its_turn():
                        return taken
                    if self._send(key, body, state.tries) is Delivery.TAKEN:
                        taken.append(key)
        return taken

    def _is_its_turn(self) -> bool:
        return self._store.acquire_lease(_LEASE, self._holder, _LEASE_SECONDS) is not None

    def _send(self, key: str, body: bytes, tries: int) -> Delivery:
        self._note(key, _State(Delivery.SENDING, tries + 1))
        delivery = self._post(key, body)
        pause = min(FIRST_PAUSE_SECONDS * 2.0**tries, LONGEST_PAUSE_SECONDS)
        due = self._clock() + pause if delivery is Delivery.NOT_TAKEN else 0.0
        self._note(key, _State(delivery, tries + 1, due))
        if delivery is not Delivery.TAKEN:
            logger.warning("the alert %s was not delivered to the webhook: %s", key, delivery)
        return delivery

    def _post(self, key: str, body: bytes) -> Delivery:
        """Post once. Until the request is out, nothing was taken; from then on only an answer tells."""
        connection = _connection(self._url)
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        path = self._url._replace(scheme="", netloc="", fragment="").geturl() or "/"
        try:
            connection.connect()
        except OSError:
            return Delivery.NOT_TAKEN
        try:
            connection.request("POST", path, body, headers)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return Delivery.UNKNOWN
        finally:
            connection.close()
        if 200 <= status < 300:
            return Delivery.TAKEN
        return Delivery.NOT_TAKEN if status == 429 or status >= 500 else Delivery.REFUSED

    def _note(self, key: str, state: _State) -> None:
        self._store.post(_TOPIC, key, str(state))


def _messages(alert: Alert) -> Iterable[tuple[str, bytes]]:
    """Yield what there is to tell of an alert: that it began, and that it is over."""
    yield f"{alert.id} began", _body(alert, over=False)
    if alert.ended is not None:
        yield f"{alert.id} over", _body(alert, over=True)


def _body(alert: Alert, *, over: bool) -> bytes:
    told = {**in_json(alert), "state": "over" if over else "holds"}
    if not over:
        told["ended"] = None
    return json.dumps(told, ensure_ascii=False).encode()


def _connection(url: SplitResult) -> http.client.HTTPConnection:
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(str(url.hostname), url.port, timeout=TIMEOUT_SECONDS)
