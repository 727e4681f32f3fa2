"""How things stand: what the header of every page says."""

from __future__ import annotations

from dataclasses import dataclass

from athena_tuning.model import Mode, TuningStrategy


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand.

    Attributes:
        strategy: in force for all types.
        mode: who steers.
        version: of the config for all types.
        head: of the newest config of any scope.
        data_age: seconds since the newest recall began; None without one.
        behind: what keeps the window from following the store; None if nothing does.
        workers_alive: managers seen in the last ten seconds.
        demo: whether the demo load runs; None where there is no manager to run it on.
        blocked: why nothing can be written now, whoever asks; None if it can.
        tried: version of the config that is tried in turns with the one in force; None where none is.
    """

    strategy: TuningStrategy
    mode: Mode
    version: int
    head: int
    data_age: float | None
    behind: str | None
    workers_alive: int
    demo: bool | None
    blocked: str | None
    tried: int | None = None
