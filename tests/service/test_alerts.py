"""Alerts begin and end once, whoever looks; a webhook hears of each at most once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from athena_tuning.service.alerts import BEGINS_SECONDS, ENDS_SECONDS, Alert, AlertWatch, alerts_of
from athena_tuning.service.facts import Facts, SickLayer, Situation
from athena_tuning.service.situation import applying
from athena_tuning.service.webhook import Webhook
from athena_tuning.store import Store, StoreEvent, open_store
from athena_tuning.testing.clock import Clock

NOW = 1_790_000_000.0
SLOW = Situation("bad", "p99 is 428 ms, 25 times what it was an hour ago.", rule="slower")
QUIET = Situation("quiet", "Nothing is promised yet.", rule="promise")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def open_alert(store: Store) -> AlertWatch:
    watch = AlertWatch(store)
    watch.look([SLOW], NOW)
    assert [alert.rule for alert in watch.look([SLOW], NOW + BEGINS_SECONDS)] == ["slower"]
    return watch


def test_rule_that_holds_begins_one_alert_and_its_end_ends_it(store: Store) -> None:
    watch = open_alert(store)
    assert watch.look([SLOW, QUIET], NOW + 60) == []
    assert watch.look([QUIET], NOW + 100) == []
    [over] = watch.look([], NOW + 100 + ENDS_SECONDS)
    [alert] = watch.known(NOW + 400)
    assert alert == over
    assert (alert.began, alert.ended, alert.level) == (NOW, NOW + 100, "bad")
    assert alert.sentence == SLOW.sentence


def test_blip_begins_no_alert_and_gap_ends_none(store: Store) -> None:
    watch = AlertWatch(store)
    watch.look([SLOW], NOW)
    watch.look([], NOW + 5)
    assert watch.look([SLOW], NOW + BEGINS_SECONDS) == []
    watch = open_alert(store)
    watch.look([], NOW + 100)
    watch.look([SLOW], NOW + 150)
    assert watch.look([], NOW + 100 + ENDS_SECONDS) == []


def test_watch_that_is_started_anew_goes_on_with_the_alert_that_is_open(store: Store) -> None:
    open_alert(store)
    anew = AlertWatch(store)
    for seconds in (30, 60, 90):
        assert anew.look([SLOW], NOW + seconds) == []
    anew.look([], NOW + 100)
    assert [alert.ended for alert in anew.look([], NOW + 100 + ENDS_SECONDS)] == [NOW + 100]
    assert len(anew.known(NOW + 400)) == 1


def test_two_watches_of_one_store_begin_an_alert_once(store: Store) -> None:
    watches = AlertWatch(store), AlertWatch(store)
    for seconds in (0.0, BEGINS_SECONDS, 60.0):
        for watch in watches:
            watch.look([SLOW], NOW + seconds)
    assert len(alerts_of(store.events(since=0.0))) == 1


def test_every_rule_of_the_situation_has_a_name_that_does_not_change_with_its_figures() -> None:
    ill = [SickLayer("graph", 1, NOW - 60, "too slow"), SickLayer("web", 2, NOW - 9, "no route")]
    names = [[said.rule for said in applying(Facts(NOW, alive=0, sick=ill[:n]))] for n in (1, 2)]
    assert names[0] == names[1]
    assert all(names[0])


def test_other_events_of_the_store_are_no_alerts() -> None:
    assert alerts_of([StoreEvent(NOW, "clock", "the clock of alpha stepped")]) == []


class Receiver:
    """A real HTTP server that answers as it is told, and remembers what it was sent."""

    def __init__(self) -> None:
        self.answers: list[int | None] = []
        self.got: list[tuple[str, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = receiver.answers.pop(0) if receiver.answers else 204
                receiver.got.append((self.headers["Idempotency-Key"], json.loads(body)))
                if answer is None:  # taken, but the answer is lost
                    self.close_connection = True
                    return
                self.send_response(answer)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?team=memory"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


HOLDS = Alert("slower@1.0", "slower", "bad", NOW, "p99 is 428 ms.")
OVER = Alert("slower@1.0", "slower", "bad", NOW, "p99 is 428 ms.", NOW + 60)


def test_webhook_hears_once_that_an_alert_began_and_once_that_it_is_over(
    store: Store, receiver: Receiver
) -> None:
    clock = Clock(NOW + 100)
    hook = Webhook(receiver.url, store, holder="a", clock=clock)
    for alert in (HOLDS, HOLDS, OVER, OVER):
        hook.deliver([alert])
    Webhook(receiver.url, store, holder="a", clock=clock).deliver([OVER])  # a restart
    assert [body["state"] for _, body in receiver.got] == ["holds", "over"]
    assert receiver.got[0][1]["sentence"] == "p99 is 428 ms."
    assert len({key for key, _ in receiver.got}) == 2


def test_webhook_tries_again_with_growing_pauses_what_the_receiver_did_not_take(
    store: Store, receiver: Receiver
) -> None:
    clock = Clock(NOW + 100)
    hook = Webhook(receiver.url, store, holder="a", clock=clock)
    receiver.answers = [503, 429, 204]
    tried = []
    for _ in range(20):
        before = len(receiver.got)
        hook.deliver([HOLDS])
        if len(receiver.got) > before:
            tried.append(clock.now - NOW - 100)
        clock.now += 1.0
    assert tried == [0.0, 2.0, 6.0]
    assert len({key for key, _ in receiver.got}) == 1


def test_webhook_tries_again_where_nobody_listened_even_after_a_restart(
    store: Store, receiver: Receiver
) -> None:
    clock = Clock(NOW + 100)
    gone = Receiver()
    gone.close()
    assert Webhook(gone.url, store, holder="a", clock=clock).deliver([HOLDS]) == []
    clock.now += 60.0
    assert Webhook(receiver.url, store, holder="a", clock=clock).deliver([HOLDS]) == ["slower@1.0 began"]


@pytest.mark.parametrize("answer", [None, 400], ids=["no answer", "a refusal"])
def test_webhook_does_not_send_again_what_may_have_been_taken_or_is_refused(
    store: Store, receiver: Receiver, answer: int | None
) -> None:
    clock = Clock(NOW + 100)
    receiver.answers = [answer]
    for _ in range(3):
        Webhook(receiver.url, store, holder="a", clock=clock).deliver([HOLDS])
        clock.now += 3600.0
    assert len(receiver.got) == 1


def test_webhook_does_not_send_what_a_process_that_ended_was_sending(
    store: Store, receiver: Receiver
) -> None:
    store.post("alert deliveries", "slower@1.0 began", "sending 1 0.0")
    assert Webhook(receiver.url, store, holder="b", clock=Clock(NOW)).deliver([HOLDS]) == []
    assert receiver.got == []


def test_only_one_of_several_processes_sends(store: Store, receiver: Receiver) -> None:
    clock = Clock(NOW + 100)
    hooks = [Webhook(receiver.url, store, holder=name, clock=clock) for name in "ab"]
    for hook in hooks:
        hook.deliver([HOLDS])
    assert len(receiver.got) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "example.org/hook", "ftp://example.org/"])
def test_webhook_takes_only_addresses_of_the_web(store: Store, url: str) -> None:
    with pytest.raises(ValueError, match="a webhook is http"):
        Webhook(url, store, holder="a")
