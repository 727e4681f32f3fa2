"""A real server, as ``athena-tuning serve`` starts it, asked by a real client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from athena_tuning.http.api import make_api
from athena_tuning.model import TuningConfig
from athena_tuning.service.access import OperatorToken
from athena_tuning.service.tuning_service import TuningService
from athena_tuning.testing.waiting import until

ROOT = Path(__file__).parents[2]
TOKEN = "a token of sixteen letters or more"
ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}
"""What a proxy says of a client that is not on this machine."""

SLOW_LAYER = """
import time

class Slow:
    name = "slow"

    def search(self, query, k, deadline):
        time.sleep(1.0)
        return [{"id": "late", "text": "worth the wait"}]
"""
POINTS = "[athena_tuning.layers]\nslow = slow_layer:Slow\n"


def serve(folder, *more):
    """Start a server; returns it with its address."""
    (folder / "slow_layer.py").write_text(SLOW_LAYER)
    info = folder / "slow_layer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-layer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    environment = {
        **os.environ,
        "ATHENA_TUNING_HOME": str(folder),
        "ATHENA_TUNING_OPERATOR_TOKEN": TOKEN,
        "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
    }
    for name in ("ATHENA_TUNING_STORE", "ATHENA_TUNING_MEMORY", "ATHENA_TUNING_CONFIG"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "athena_tuning", "serve", "--port", "0", *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
    for line in process.stdout:
        if found := re.search(r"http://\S+:\d+", line):
            return process, found[0]
    raise AssertionError(f"the server ended with {process.wait()}")


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    process, address = serve(tmp_path_factory.mktemp("served"))
    yield address
    process.terminate()
    assert process.wait(20) == 0


@pytest.fixture
def client(address):
    with httpx.Client(base_url=address, timeout=30) as opened:
        yield opened


def test_items_are_kept_found_judged_and_forgotten(client):
    items = [{"id": "h1", "layer": "episodic", "text": "Zoe mended the lighthouse lamp"}, {"id": "bad"}]
    refused = client.post("/v1/remember", json={"items": items})
    assert refused.status_code == 422
    assert refused.json()["detail"] == "1 items are kept, 1 left out: item 2: layer is missing"
    assert client.post("/v1/remember", json={"items": items[:1]}).json() == {"kept": {"episodic": 1}}
    answer = client.post("/v1/recall", json={"query": "when was the lighthouse lamp mended?", "k": 3}).json()
    assert answer["episodic"][0]["id"] == "h1"
    judged = {"query_id": answer["_query_id"], "score": 0.9}
    assert client.post("/v1/feedback", json=judged).json() == {"known": True}
    assert client.post("/v1/forget", json={"ids": ["h1", "nobody"]}).json() == {"forgotten": 1}
    assert client.post("/v1/forget", json={"ids": ["h1"], "scope": None}).json() == {"forgotten": 0}


def test_the_example_asks_a_server(address):
    example = ROOT / "examples" / "ask_over_http.py"
    done = subprocess.run(
        [sys.executable, str(example), address], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Ana fixed the login bug" in done.stdout
    assert re.search(r"config version \d+", done.stdout)


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/v1/recall", {"query": "x", "kk": 3}, "Extra inputs are not permitted"),
        ("/v1/recall", {"query": "x", "k": 0}, "k"),
        ("/v1/recall", {"query": " "}, "query"),
        ("/v1/feedback", {"query_id": "q", "score": 7}, "less than or equal to 1"),
        ("/v1/config/strategy", {"strategy": "fastest", "reason": "r"}, "latency"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_where_and_why(client, path, body, told):
    refused = client.post(path, json=body)
    assert refused.status_code == 422
    assert told in refused.text


def test_a_config_is_written_only_over_the_version_that_its_writer_saw(client):
    seen = client.get("/v1/config/all")
    tag = seen.headers["ETag"]
    body = {"config": {"max_concurrent": 7}, "reason": "more at once"}
    assert client.put("/v1/config/all", json=body).status_code == 428
    written = client.put("/v1/config/all", json=body, headers={"If-Match": tag})
    assert (written.status_code, written.json()["config"]["max_concurrent"]) == (200, 7)
    late = client.put("/v1/config/all", json=body, headers={"If-Match": tag})
    assert late.status_code == 412
    assert "version" in late.json()["detail"]
    assert client.get("/v1/config/all").headers["ETag"] == written.headers["ETag"] != tag
    assert client.get("/v1/config").json()["all"]["config"]["max_concurrent"] == 7
    assert client.get("/v1/config/temporal").status_code == 404
    wrong = client.put(
        "/v1/config/all", json={"config": {"limit": 3}, "reason": "r"}, headers={"If-Match": tag}
    )
    assert wrong.status_code == 422
    assert "limit" in wrong.json()["detail"]
    undone = client.post("/v1/config/undo").json()
    assert undone[0]["config"]["max_concurrent"] != 7
    switched = client.post("/v1/config/strategy", json={"strategy": "cost", "reason": "night"}).json()
    assert switched[0]["config"]["strategy"] == "cost"
    back = client.post("/v1/config/rollback", json={"version": written.json()["version"], "reason": "day"})
    assert back.json()["config"]["max_concurrent"] == 7
    assert client.get("/v1/config/history").json()[0]["version"] == back.json()["version"]


def test_an_experiment_is_started_told_and_ended(client):
    assert client.get("/v1/experiments/newest").status_code == 404
    tag = client.get("/v1/config/all").headers["ETag"]
    body = {"config": {"max_concurrent": 17}, "reason": "more at once?", "seconds": 120}
    stale = client.post("/v1/experiments", json=body, headers={"If-Match": '"99"'})
    assert stale.status_code == 412
    started = client.post("/v1/experiments", json=body, headers={"If-Match": tag})
    assert (started.status_code, started.json()["is_running"]) == (201, True)
    assert client.get("/v1/config/all").headers["ETag"] == tag
    again = client.post("/v1/experiments", json=body)
    assert again.status_code == 422
    assert "end it first" in again.json()["detail"]
    assert client.get("/v1/experiments/newest").json()["changes"]["max_concurrent"][1] == 17
    assert client.post("/v1/experiments/end", json={}, headers=ELSEWHERE).status_code == 403
    ended = client.post("/v1/experiments/end", json={"reason": "enough"}).json()
    assert (ended["is_running"], ended["ended"].endswith("enough")) == (False, True)
    assert client.post("/v1/experiments/end", json={}).status_code == 422
    assert client.get("/v1/experiments/newest").json()["version"] == ended["version"]


def test_who_is_elsewhere_may_look_and_with_the_token_write(client):
    body = {"query": "billing"}
    assert client.get("/v1/status", headers=ELSEWHERE).status_code == 200
    refused = client.post("/v1/recall", json=body, headers=ELSEWHERE)
    assert refused.status_code == 403
    assert "operator" in refused.json()["detail"]
    admitted = {**ELSEWHERE, "Authorization": f"Bearer {TOKEN}"}
    assert client.post("/v1/recall", json=body, headers=admitted).status_code == 200
    wrong = client.post("/v1/recall", json=body, headers={"Authorization": "Bearer no"})
    assert wrong.status_code == 401


def test_names_of_others_and_pages_of_others_are_refused(client):
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 421
    page = {"Sec-Fetch-Site": "cross-site"}
    assert client.post("/v1/config/undo", headers=page).status_code == 403


def test_a_body_that_is_too_large_is_refused_also_when_it_does_not_say_so(client):
    large = b'{"items": [' + b" " * (9 << 20) + b"]}"
    declared = client.post("/v1/remember", content=large)
    assert declared.status_code == 413
    assert "send it in parts" in declared.json()["detail"]

    def pieces():
        for at in range(0, len(large), 1 << 16):
            yield large[at : at + (1 << 16)]

    with contextlib.suppress(httpx.WriteError):  # the server may close while the rest is sent
        assert client.post("/v1/remember", content=pieces()).status_code == 413


def test_health_metrics_and_the_openapi_document_are_there(client):
    assert client.get("/healthz").text == "ok"
    ready = client.get("/readyz").json()
    assert ready["ready"]
    assert "episodic" in ready["layers"]
    client.post("/v1/recall", json={"query": "billing?"})
    families = {f.name for f in text_string_to_metric_families(client.get("/metrics").text)}
    assert "athena_tuning_recalls" in families
    document = client.get("/v1/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert {"/v1/recall", "/v1/config/{scope}", "/readyz"} <= set(document["paths"])
    assert all(
        "summary" in o and o.get("description") for p in document["paths"].values() for o in p.values()
    )
    for path in ("/v1/status", "/v1/workers", "/v1/layers", "/v1/decisions"):
        assert client.get(path).status_code == 200, path


def test_limit_says_whose_it_is_and_who_has_which_share(client):
    told = client.get("/v1/limit").json()
    assert (told["scope"], told["workers"]) == ("manager", 1)
    assert told["limit"] == client.get("/v1/config/all").json()["config"]["max_concurrent"]
    assert told["shares"] == {}
    assert told["sentence"]


def test_a_server_that_is_stopped_answers_what_is_under_way(tmp_path):
    process, address = serve(tmp_path, "--layer", "slow")
    answers = []

    def ask():
        answers.append(httpx.post(f"{address}/v1/recall", json={"query": "billing"}, timeout=30))

    thread = threading.Thread(target=ask)
    with httpx.Client(base_url=address) as client:
        thread.start()
        until(lambda: re.search(r"layer_tasks_in_flight 1", client.get("/metrics").text))
    process.send_signal(signal.SIGTERM)
    thread.join(30)
    assert process.wait(30) == 0
    assert [item["id"] for item in answers[0].json()["slow"]] == ["late"]


def test_a_server_whose_store_fails_still_recalls_and_says_that_it_is_not_ready(tmp_path, monkeypatch):
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path))
    service = TuningService.open(
        {"ATHENA_TUNING_DEMO": "0", "ATHENA_TUNING_STORE": f"sqlite:///{tmp_path / 's.db'}"}
    )
    api = make_api(service, OperatorToken({}))

    async def ask():
        transport = httpx.ASGITransport(api, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            service.store.close()
            ready = await client.get("/readyz")
            answer = await client.post("/v1/recall", json={"query": "billing"})
            return ready, answer

    ready, answer = asyncio.run(ask())
    service.close()
    api.state.exposition.close()
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    assert ready.json()["problem"]
    assert answer.json()["_success"]


class Queue:
    """A layer that takes its time."""

    name = "queue"

    def search(self, query, k, deadline):
        threading.Event().wait(0.05)
        return [{"id": "q", "text": "served"}]


def test_a_recall_that_is_refused_under_load_is_told_when_to_come_back(tmp_path, monkeypatch):
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path))
    service = TuningService.open(
        {"ATHENA_TUNING_DEMO": "0", "ATHENA_TUNING_STORE": f"sqlite:///{tmp_path / 's.db'}"}
    )
    api = make_api(service, OperatorToken({}))
    manager = api.state.manager
    manager.register_layer(Queue())
    narrow = TuningConfig(max_concurrent=1, overload_after_seconds=0.1, overload_wait_seconds=0.05)
    manager.apply_config(narrow, expected_version=0, actor="test", reason="one at a time")

    async def crowd():
        transport = httpx.ASGITransport(api, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            bodies = [{"query": f"{n}?", "use_cache": False, "layers": ["queue"]} for n in range(60)]
            return await asyncio.gather(*(client.post("/v1/recall", json=body) for body in bodies))

    answers = asyncio.run(crowd())
    service.close()
    api.state.exposition.close()
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(int(answer.headers["Retry-After"]) >= 1 and answer.json()["_refused"] for answer in refused)
