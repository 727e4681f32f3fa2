"""Looks at the rules again and again, keeps alerts, and tells a webhook: in the app, and by itself."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from athena_tuning.control.periodic import PeriodicTask, PeriodicThread
from athena_tuning.service.alerts import Alert, AlertWatch
from athena_tuning.service.read_service import ReadService
from athena_tuning.service.webhook import Webhook

EVERY_SECONDS = 5.0


class Alerting:
    """One look at a time: what the rules say becomes alerts, alerts become messages.

    Args:
        service: says what the rules say.
        webhook: an address; "" for none.
        tell: is told of alerts that begin or end.

    Raises:
        ValueError: if the address is none.
    """

    def __init__(
        self, service: ReadService, webhook: str = "", tell: Callable[[Alert], None] = lambda _: None
    ) -> None:
        self._service = service
        self._watch = AlertWatch(service.store)
        self._tell = tell
        self._webhook = (
            Webhook(webhook, service.store, holder=f"alerts-{uuid.uuid4().hex[:8]}") if webhook else None
        )
        self._thread = PeriodicThread("alerts", [PeriodicTask("alerts", EVERY_SECONDS, self.look)])

    def start(self) -> None:
        """Look every five seconds, in a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """End what ``start`` began."""
        self._thread.close()

    def look(self) -> None:
        """Look once. A store that cannot be read begins no alert: there is nowhere to keep it.

        Raises:
            StoreError: if the store cannot be read or written.
        """
        service = self._service
        if service.tail.caught_up:  # before that, nothing would seem to be asked
            for alert in self._watch.look(service.findings_of_rules(), service.now):
                self._tell(alert)
        if self._webhook is not None:
            self._webhook.deliver(self._watch.known(service.now))
