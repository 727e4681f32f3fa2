"""Everything that a page or a command may ask or do, in one place and without streamlit.

Reads are ``ReadService``'s, writes of configs ``ConfigService``'s; here are loads, data that comes and goes,
and the manager of this process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from athena_tuning import locations, settings
from athena_tuning.interchange import Import, Stored, forget_import, store_import
from athena_tuning.load import fast_forward
from athena_tuning.load.run_handle import UNDER_WAY
from athena_tuning.load.spec import LoadSpec
from athena_tuning.model import SourceBatch
from athena_tuning.samples import sample_workloads
from athena_tuning.service import audit
from athena_tuning.service.alerting import Alerting
from athena_tuning.service.config_service import ConfigService
from athena_tuning.service.embedded import Embedded
from athena_tuning.service.roles import Actor, NotAllowed
from athena_tuning.service.store_follower import Tail
from athena_tuning.store import open_store

MAX_QUERY_CHARACTERS = 10_000
_ARRIVES_WITHIN_SECONDS = 10.0

logger = logging.getLogger(__name__)


class TuningService(ConfigService):
    """The dashboard's and the command line's one way to the system. All methods are thread-safe."""

    _alerting: Alerting | None = None

    @classmethod
    def open(cls, environ: Mapping[str, str] = settings.current) -> TuningService:
        """Open what the settings name and start it.

        ``ATHENA_TUNING_STORE`` is the store, ``ATHENA_TUNING_ATTACH=1`` watches other processes' managers
        in place of running one, ``ATHENA_TUNING_MEMORY`` is the embedded manager's memory and
        ``ATHENA_TUNING_DEMO=0`` leaves its demo load off. ``ATHENA_TUNING_WEBHOOK`` is told of alerts.

        Raises:
            StoreError: if the store cannot be opened.
            ValueError: if the webhook is no address.
        """
        store = open_store(environ.get("ATHENA_TUNING_STORE"))
        embedded = None
        if environ.get("ATHENA_TUNING_ATTACH") != "1":
            named = environ.get("ATHENA_TUNING_MEMORY")
            embedded = Embedded(Path(named) if named else locations.default_memory(), store)
            if embedded.has_sample and environ.get("ATHENA_TUNING_DEMO") != "0":
                embedded.start_demo()
        tail = Tail(store)
        tail.start()
        opened = cls(store, tail, embedded)
        opened._alerting = Alerting(opened, environ.get("ATHENA_TUNING_WEBHOOK") or "")
        opened._alerting.start()
        return opened

    def close(self) -> None:
        """End alerts, loads, the manager and the store."""
        if self._alerting is not None:
            self._alerting.close()
        self._forecasts.close()
        self.loads.stop()
        self.tail.close()
        if self.embedded is not None:
            self.embedded.close()
        self.store.close()

    # Load, and the manager of this process

    def start_load(self, actor: Actor, spec: LoadSpec) -> None:
        """Start a load run, on the manager here or else on one that shares the store; charts get a note.

        Raises:
            NotAllowed: if the actor is no operator, or no manager is running.
            ValueError: if one is under way, or the load cannot be made.
            StoreError: if it could not be ordered from a manager elsewhere.
        """
        self._may_write(actor, "start a load")
        self.loads.start(spec)
        self._note(actor, f"load started: {audit.load_in_words(spec)}")

    def pause_load(self, actor: Actor) -> None:
        """Let the load run ask nothing for now. Raises ``NotAllowed`` if the actor is no operator."""
        actor.must_be_operator("pause a load")
        self.loads.pause()
        self._note(actor, "load paused")

    def resume_load(self, actor: Actor) -> None:
        """Let a paused load run go on. Raises ``NotAllowed`` if the actor is no operator."""
        actor.must_be_operator("resume a load")
        self.loads.resume()
        self._note(actor, "load resumed")

    def stop_load(self, actor: Actor) -> None:
        """Stop the load run. Raises ``NotAllowed`` if the actor is no operator."""
        actor.must_be_operator("stop a load")
        self.loads.stop()
        self._note(actor, "load stopped")

    def set_demo(self, actor: Actor, on: bool) -> None:
        """Start or stop the demo load.

        Raises:
            NotAllowed: if the actor is no operator, or there is no manager in this process.
        """
        here = self._here(actor, "steer the demo load")
        if on:
            here.start_demo()
        else:
            here.stop_demo()
        self._note(actor, f"demo load {'started' if on else 'stopped'}")

    def take_sample(self, actor: Actor, name: str) -> SourceBatch:
        """Bring a sample workload in as if it had just ended; return the batch that it is.

        It is looked at by itself (``View.sources``), and no manager is tuned by it. This waits a moment until
        the window has it.

        Raises:
            NotAllowed: as ``set_demo`` does.
            ValueError: if there is no such workload.
        """
        here = self._here(actor, "load a workload")
        before = self.tail.taken
        taken = here.take_sample(name, ending_at=self.now)
        self.tail.wait_for(before + taken.records, _ARRIVES_WITHIN_SECONDS)
        self._remembered.forget()
        self._note(actor, f"sample workload {name} loaded")
        return taken

    def fast_forward(
        self,
        actor: Actor,
        spec: LoadSpec,
        *,
        evidence: str | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> SourceBatch:
        """Simulate a load on the configs in force as if it had just ended; return the batch that it is.

        The records are marked as simulated, in the store and wherever they are shown.

        Args:
            actor: who asks for it.
            spec: the load; its mix of types is that of the evidence.
            evidence: sample workload to take costs from; None: what the managers measured, else "mixed".
            progress: told the share that is simulated.

        Raises:
            NotAllowed: if the actor is no operator.
            ValueError: if the load cannot be simulated.
            StoreError: if it could not be stored.
        """
        actor.must_be_operator("simulate a load")
        known = (
            sample_workloads.load_records(evidence) if evidence else fast_forward.usual_evidence(self.store)
        )
        before = self.tail.taken
        made = fast_forward.fast_forward(
            known,
            replace(spec, mix=fast_forward.mix_of(known)),
            config=self.configs(),
            ending_at=self.now,
            progress=progress,
        )
        forwarded = fast_forward.store_forward(made, self.store)
        self.tail.wait_for(before + forwarded.records, _ARRIVES_WITHIN_SECONDS)
        self._remembered.forget()
        words = audit.load_in_words(spec)
        self._note(actor, f"fast forward of {words}: {forwarded.records:,} simulated recalls")
        return forwarded

    def import_file(
        self,
        actor: Actor,
        found: Import,
        *,
        keep_times: bool = False,
        again: bool = False,
        confirmed: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Stored:
        """Bring a file of measurements into the store, as ``athena-tuning import`` does.

        Args:
            actor: who brings it.
            found: the file, looked at and with its mapping.
            keep_times: leave its times as they are; else old ones are moved up to now.
            again: bring it in once more if it was imported before.
            confirmed: the actor has said that what is odd about it is right.
            progress: told (bytes done, bytes to do).

        Raises:
            NotAllowed: if the actor is no operator.
            ImportRefused: if a row is bad and the file is to be whole.
            NeedsConfirmation: if something about it is odd and it is not confirmed; nothing was stored.
            ValueError: if there is no query in it.
            StoreError: if the store did not take it all; the same call goes on where it ended.
        """
        actor.must_be_operator("import a file")
        before = self.tail.taken
        came = store_import(
            found,
            self.store,
            keep_times=keep_times,
            again=again,
            confirmed=confirmed,
            progress=progress,
            clock=self._clock,
        )
        if came.earlier is None:
            self.tail.wait_for(before + came.report.records, _ARRIVES_WITHIN_SECONDS)
            self._remembered.forget()
            self._note(actor, f"{came.report.records:,} queries imported from {found.path.name}")
        return came

    def remove_source(self, actor: Actor, source: str) -> SourceBatch:
        """Take a batch out of the store again, with its roll-ups; return what it was.

        Raises:
            NotAllowed: if the actor is no operator.
            ValueError: if there is no such batch, or its load run is under way.
            StoreError: if it could not be taken out.
        """
        actor.must_be_operator("take a batch out")
        run = self.loads.newest
        if run is not None and run.state in UNDER_WAY and source.endswith(run.id):
            raise ValueError(f"load run {run.id} is under way: stop it before it is taken out")
        gone = self.store.remove_batch(source)
        forget_import(source)
        self.tail.look()
        self._remembered.forget()
        self._note(actor, f"{gone.records:,} recalls of {source} taken out")
        return gone

    def recall(
        self, actor: Actor, text: str, *, k: int = 5, scope: str | None = None, use_cache: bool = True
    ) -> Mapping[str, Any]:
        """Ask the memory, as an agent would; it is measured and recorded like any recall.

        Raises:
            NotAllowed: as ``set_demo`` does.
            ValueError: if the text is empty or too long.
        """
        here = self._here(actor, "ask the memory")
        if not text.strip() or len(text) > MAX_QUERY_CHARACTERS:
            raise ValueError(f"a query has 1 to {MAX_QUERY_CHARACTERS:,} characters, not {len(text):,}")
        return here.recall(text, k=k, scope=scope, use_cache=use_cache)

    def give_feedback(self, actor: Actor, query_id: str, score: float) -> bool:
        """Note how good an answer was, 0 (useless) to 1 (just right); False if it is not known any more.

        Raises:
            NotAllowed: as ``start_load`` does.
            ValueError: if the score is none.
        """
        return self._here(actor, "judge an answer").manager.record_feedback(query_id, score)

    def _here(self, actor: Actor, what: str) -> Embedded:
        actor.must_be_operator(what)
        if self.embedded is None:
            raise NotAllowed(f"Nobody can {what} here: the managers run in other processes")
        return self.embedded
