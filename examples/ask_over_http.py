"""Ask a memory over HTTP: start ``athena-tuning serve`` first, then run this with its address."""

from __future__ import annotations

import sys

import httpx

address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8600"
with httpx.Client(base_url=f"{address}/v1") as memory:
    note = {"id": "n1", "layer": "episodic", "text": "Ana fixed the login bug"}
    memory.post("/remember", json={"items": [note]}).raise_for_status()
    answer = memory.post("/recall", json={"query": "When was the login fixed?", "k": 3}).json()
    print([item["text"] for item in answer["_fused"]])
    memory.post("/feedback", json={"query_id": answer["_query_id"], "score": 1.0}).raise_for_status()
    seen = memory.get("/config/all")
    change = {"config": {"max_concurrent": 6}, "reason": "more at once"}
    written = memory.put("/config/all", json=change, headers={"If-Match": seen.headers["ETag"]})
    print("config version", written.json()["version"])
