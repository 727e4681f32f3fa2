"""Serves the API: ``python -m athena_tuning.http``, which ``athena-tuning serve`` starts."""

from __future__ import annotations

import argparse
import signal
from contextlib import ExitStack

import uvicorn

from athena_tuning import locations, settings
from athena_tuning.http.api import make_api
from athena_tuning.recall.memory import Memory
from athena_tuning.service.access import LOOPBACK, OperatorToken
from athena_tuning.service.tuning_service import TuningService


def main() -> None:
    """Serve what the settings name, until a signal ends it; recalls under way are answered first."""
    arguments = argparse.ArgumentParser(prog="athena-tuning serve")
    arguments.add_argument("--host", required=True)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--layer", action="append", default=[])
    arguments.add_argument("--on")
    given = arguments.parse_args()
    with ExitStack() as until_stopped:
        _serve(arguments, given, until_stopped)


def _serve(arguments: argparse.ArgumentParser, given: argparse.Namespace, until_stopped: ExitStack) -> None:
    token, cluster = OperatorToken(), None
    if given.on:
        from athena_tuning.cluster import RecallCluster

        cluster = until_stopped.enter_context(RecallCluster(given.on))
    elif not (memory := locations.default_memory()).exists():
        Memory(memory).close()  # empty: the app would make one from the sample
    environ = {
        **settings.current,
        "ATHENA_TUNING_ATTACH": "1" if given.on else "0",
        "ATHENA_TUNING_DEMO": "0",
    }
    service = TuningService.open(environ)
    api = make_api(service, token, cluster=cluster)
    for layer in given.layer:
        try:
            api.state.manager.register_layer(layer)
        except ValueError as error:
            arguments.error(f"--layer: {error}")
    config = uvicorn.Config(api, given.host, given.port, log_level="warning", server_header=False)
    listening = config.bind_socket()
    listening.listen()  # whoever is told the address may come before uvicorn is ready
    if given.host not in LOOPBACK:
        print(f"token for clients elsewhere: {token.secret}", flush=True)  # noqa: T201 (for whoever started it)
    address = f"http://{given.host}:{listening.getsockname()[1]}"
    print(f"athena_tuning on {address}/v1/  (Ctrl+C stops it)", flush=True)  # noqa: T201
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises again, at its end, what ended it
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
