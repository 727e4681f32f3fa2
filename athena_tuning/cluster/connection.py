"""A connection to a broker, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from athena_tuning.cluster.address import Address
from athena_tuning.cluster.loop_calls import LoopBridge

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
RECONNECT_SECONDS = 0.2
"""Between two tries to reach a broker that went away."""

_PENDING_BYTES = 64 << 20
"""Most that waits to be sent while the broker is away."""

_EOF_WARNING = "returning true from eof_received() has no effect when using ssl"
"""asyncio warns so when a broker ends a TLS connection: nats-py leaves its stream protocol unaware of TLS."""

_WORDLESS = (
    ConnectionError,
    TimeoutError,
    nats.errors.NoServersError,
    nats.errors.StaleConnectionError,
)
"""What says no more than that there is no connection."""

T = TypeVar("T")


class BrokerAway(ConnectionError):
    """No broker can be reached; the message says which, and the way out."""


class Connection:
    """A connection that comes back when its broker does.

    Args:
        address: of the cluster.
        name: of the thread, and of the connection in the broker's own lists.

    Attributes:
        client: of the broker; to be used on ``loop``.
        loop: on which everything of this connection happens.
        renewals: how often the broker was lost and found again.

    Raises:
        BrokerAway: if no broker answers within five seconds.
    """

    client: Client

    def __init__(self, address: Address, name: str) -> None:
        self.address = address
        self.renewals = 0
        self.loop = _new_event_loop()
        self._bridge = LoopBridge(self.loop)
        self._name = name
        self._closed = False
        self._inbox = ""
        self._telling_error: Exception | None = None
        self._expected: dict[str, Callable[[Msg], None]] = {}
        self._number = 0
        self._refused: asyncio.Future[Exception]
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()
        try:
            self.run(self._connect(), CONNECT_SECONDS + 1)
        except BaseException:
            self._end()
            raise

    @property
    def is_up(self) -> bool:
        """Whether the broker can be reached now."""
        return self.client.is_connected

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have something done on the connection's loop."""
        self._check_open(work)
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done on the connection's loop and wait for it on the running one."""
        self._check_open(work)
        return await self._bridge.arun(work)

    def run(self, work: Coroutine[Any, Any, T], timeout_seconds: float | None = None) -> T:
        """Have something done on the connection's loop and wait for it in this thread."""
        self._check_open(work)
        return self._bridge.run(work, timeout_seconds)

    async def post(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None,
        on_reply: Callable[[Msg], None],
    ) -> str:
        """Send a request, and have ``on_reply`` called with its reply; return a token for ``forget``."""
        self._number += 1
        token = str(self._number)
        self._expected[token] = on_reply
        try:
            await self.client.publish(subject, data, f"{self._inbox}.{token}", headers)
        except BaseException:
            self.forget(token)
            raise
        return token

    def forget(self, token: str) -> None:
        """Expect a reply no longer."""
        self._expected.pop(token, None)

    async def send(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None
    ) -> asyncio.Future[Msg]:
        """Send a request; return what its answer comes into. Nobody waits for it but its caller."""
        answer: asyncio.Future[Msg] = self.loop.create_future()
        token = await self.post(subject, data, headers, partial(_resolve, answer))
        answer.add_done_callback(lambda _: self.forget(token))
        return answer

    async def flush(self, timeout_seconds: int = 10) -> None:
        """Wait until the broker has read what was sent, subscriptions included."""
        await asyncio.sleep(0)  # nats-py's flusher writes now what its ping would overtake
        await self.client.flush(timeout_seconds)

    async def gather(self, subject: str, seconds: float, data: bytes = b"", most: int = 0) -> list[Msg]:
        """Send a request to all who listen; return what they answer within so many seconds.

        Args:
            subject: where they listen.
            seconds: how long to wait.
            data: what to ask.
            most: do not wait on when so many have answered; 0: it is not known how many there are.
        """
        inbox, answers = self.client.new_inbox(), []
        enough = asyncio.Event()

        async def take(msg: Msg) -> None:
            if msg.headers and msg.headers.get("Status") == "503":
                enough.set()  # nobody listens
                return
            answers.append(msg)
            if len(answers) == most:
                enough.set()

        heard = await self.client.subscribe(inbox, cb=take)
        try:
            await self.client.publish(subject, data, inbox)
            async with asyncio.timeout(seconds):
                await enough.wait()
        except TimeoutError:
            pass
        finally:
            await heard.unsubscribe()
        return answers

    def close(self) -> None:
        """Send what waits to be sent, and end. May be called twice."""
        if self._closed:
            return
        try:
            self.run(self._disconnect(), CONNECT_SECONDS)
        except Exception:
            logger.debug("the connection to %s did not end well", self.address.shown, exc_info=True)
        self._end()

    async def _connect(self) -> None:
        self._refused = self.loop.create_future()
        connecting = self.loop.create_task(
            nats.connect(
                servers=list(self.address.servers),
                name=f"athena_tuning {self._name}",
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_SECONDS,
                connect_timeout=2,
                ping_interval=10,
                pending_size=_PENDING_BYTES,
                reconnected_cb=self._note_renewal,
                disconnected_cb=self._note_loss,
                error_cb=self._note_error,
            )
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.wait((connecting, self._refused), return_when=asyncio.FIRST_COMPLETED)
                if self._refused.done():  # to ask again would not help
                    raise self._refused.result()
                self.client = await connecting
        except (OSError, TimeoutError, nats.errors.Error) as exc:
            connecting.cancel()
            raise BrokerAway(_unreached(self.address.shown, self._telling_error or exc)) from exc
        self._inbox = self.client.new_inbox()
        await self.client.subscribe(f"{self._inbox}.*", cb=self._take)

    async def _disconnect(self) -> None:
        if self.client.is_connected:
            await self.flush(1)
        await self.client.close()

    async def _take(self, msg: Msg) -> None:
        on_reply = self._expected.pop(msg.subject.rpartition(".")[2], None)
        if on_reply is not None:
            on_reply(msg)

    async def _note_renewal(self) -> None:
        self.renewals += 1
        logger.info("the broker at %s is back", self.address.shown)

    async def _note_loss(self) -> None:
        if not self._closed:
            logger.info("the broker at %s is away", self.address.shown)

    async def _note_error(self, error: Exception) -> None:
        """Keep why there is no connection: who is refused may be cut off at the next try without a word."""
        if self._telling_error is None or not isinstance(error, _WORDLESS):
            self._telling_error = error
        if _is_refusal(error) and not self._refused.done():
            self._refused.set_result(error)
        logger.debug("the broker at %s: %r", self.address.shown, error)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        with _without_eof_warning():
            self.loop.run_forever()
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self.loop.close()

    def _check_open(self, work: Coroutine[Any, Any, Any]) -> None:
        if self._closed:
            work.close()
            raise RuntimeError(f"the connection to {self.address.shown} is closed")

    def _end(self) -> None:
        self._closed = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CONNECT_SECONDS)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """Return uvloop's, at a fifth less CPU for a message; asyncio's where there is none, as on Windows."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@contextlib.contextmanager
def _without_eof_warning() -> Iterator[None]:
    """Keep asyncio's warning of what nats-py does out of the log, for this thread."""
    thread, source = threading.get_ident(), logging.getLogger("asyncio")

    def is_news(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.msg != _EOF_WARNING

    source.addFilter(is_news)
    try:
        yield
    finally:
        source.removeFilter(is_news)


def _resolve(answer: asyncio.Future[Msg], msg: Msg) -> None:
    if not answer.done():
        answer.set_result(msg)


def _is_refusal(error: BaseException) -> bool:
    """Whether there is a broker, and the next try would be answered likewise."""
    return isinstance(error, ssl.SSLError) or "authorization" in str(error).casefold()


def _unreached(where: str, error: BaseException) -> str:
    """Say why a broker was not reached, and the way out."""
    why = str(error) or type(error).__name__
    if isinstance(error, ssl.SSLError):
        return (
            f"the certificate of the broker at {where} is not trusted ({why}): "
            "name the file of who signed it in SSL_CERT_FILE"
        )
    if "authorization" in why.casefold():
        return (
            f"the broker at {where} lets nobody in with this user and password ({why}): "
            "they stand before the host, as in tls://USER:PASSWORD@HOST"
        )
    return (
        f"no broker answers at {where} ({why}): "
        "start one with `athena-tuning cluster start`, or `nats-server`"
    )
