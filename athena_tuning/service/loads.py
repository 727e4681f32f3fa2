"""The load runs that are started from here, one at a time, and the place where they are kept.

A gentle load runs in this process. A heavy one runs in a process of its own, so that pages stay smooth; its
manager shares memory and store with the one here. Without a manager here, one elsewhere is ordered to ask
itself.
"""

from __future__ import annotations

import logging
import threading

from athena_tuning.load.archive import RunArchive
from athena_tuning.load.recordings import recorded_for
from athena_tuning.load.remote_run import RemoteRun
from athena_tuning.load.run import LoadRun
from athena_tuning.load.run_handle import UNDER_WAY, Run
from athena_tuning.load.spec import LoadSpec
from athena_tuning.load.subprocess_run import SubprocessRun, is_heavy
from athena_tuning.service.embedded import Embedded
from athena_tuning.store import Store

logger = logging.getLogger(__name__)


class Loads:
    """Starts and steers load runs; all methods are thread-safe.

    Args:
        store: shared with the managers.
        embedded: the manager of this process; None where other processes have them.
        archive: keeps what came out; None: the one in the data folder.
    """

    def __init__(self, store: Store, embedded: Embedded | None, archive: RunArchive | None = None) -> None:
        self._store = store
        self._embedded = embedded
        self._archive = archive
        self._lock = threading.Lock()
        self._run: Run | None = None
        self._keeper: threading.Thread | None = None

    @property
    def newest(self) -> Run | None:
        """The run that was started last; None before the first."""
        return self._run

    @property
    def archive(self) -> RunArchive:
        """Where runs that have ended are kept."""
        return self._archive or RunArchive()

    def start(self, spec: LoadSpec) -> Run:
        """Start a run.

        Raises:
            ValueError: if one is under way, or the load cannot be made.
            StoreError: if it is for a manager elsewhere and cannot be ordered.
        """
        with self._lock:
            if self._run is not None and self._run.state in UNDER_WAY:
                raise ValueError("a load run is under way: stop it first")
            self._run = run = self._made(spec).start()
            self._keeper = threading.Thread(target=self._keep, args=(run,), name="load keeper", daemon=True)
            self._keeper.start()
        return run

    def pause(self) -> None:
        """Let the run, if there is one, ask nothing until it is resumed."""
        if self._run is not None:
            self._run.pause()

    def resume(self) -> None:
        """Let a paused run go on."""
        if self._run is not None:
            self._run.resume()

    def stop(self) -> None:
        """Stop the run, if there is one, and wait until it has ended and is kept."""
        run, keeper = self._run, self._keeper
        if run is not None:
            run.stop()
        if keeper is not None:
            keeper.join()

    def _made(self, spec: LoadSpec) -> Run:
        if self._embedded is None:
            return RemoteRun(self._store, spec)
        if is_heavy(spec) and self._store.url:
            return SubprocessRun(self._embedded.memory, self._store.url, spec)
        return LoadRun(self._embedded.manager, spec, recorded=recorded_for(spec, self._store))

    def _keep(self, run: Run) -> None:
        run.wait()
        if (came := run.summary()) is None:
            return
        try:
            self.archive.save(came)
        except OSError as exc:
            logger.warning("load run %s is not kept: %s", run.id, exc)
