"""How a cluster is, seen from anywhere: its members, who started them, and what one more would give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from athena_tuning.closeable import Closeable
from athena_tuning.cluster import fleet, wire
from athena_tuning.cluster.address import Address
from athena_tuning.cluster.connection import Connection
from athena_tuning.cluster.fleet import Member
from athena_tuning.tuning.estimation.contention import ContentionLaw

CONTENTION = ContentionLaw(sigma=0.05)
"""How processes that share a memory file slow each other down: two gave 1.9 times of one."""

_ENOUGH_RECALLS = 100


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster at a moment.

    Attributes:
        members: who answers.
        supervisors: figures of those who start them, by their ids.
        rates: recalls a second that each member answered lately, by its id.
    """

    members: Sequence[Member]
    supervisors: Mapping[str, Mapping[str, Any]]
    rates: Mapping[str, float]

    @property
    def memories(self) -> set[str]:
        """The memory files that members answer from, each with its machine."""
        return {str(member.figures["memory"]) for member in self.members}

    @property
    def advice(self) -> str:
        """Say what one more worker would give."""
        return one_more([member.figures for member in self.members])

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        total = sum(self.rates.values())
        return {
            "members": [
                {
                    "id": member.id,
                    "version": member.version,
                    **member.figures,
                    "rate_per_s": self.rates.get(member.id),
                    "share": self.rates.get(member.id, 0.0) / total if total else None,
                }
                for member in self.members
            ],
            "supervisors": [{"id": name, **figures} for name, figures in self.supervisors.items()],
            "restarts": sum(int(figures["restarts"]) for figures in self.supervisors.values()),
            "memories": sorted(self.memories),
            "advice": self.advice,
        }


def one_more(figures: Sequence[Mapping[str, Any]]) -> str:
    """Say what one more worker on the machine with most cores to spare would give.

    A worker that only recalls carries ``1 / c`` recalls a second, with c the CPU seconds of one, and n of
    them on as many cores ``n / (c·f(n))``, where f is the contention law. More workers than cores add
    nothing.

    Examples:
        >>> one_more([{"host": "a", "cores": 4, "cpu_s": 10.0, "answers": 5000}])
        'one more worker on a gives about 452 recalls a second more (500 now, at most 4 cores)'
        >>> one_more([{"host": "a", "cores": 1, "cpu_s": 10.0, "answers": 5000}])
        'one more worker gives nothing: every core of a has one'
    """
    by_host: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for member in figures:
        by_host[str(member["host"])].append(member)
    answers = sum(int(member["answers"]) for member in figures)
    if answers < _ENOUGH_RECALLS:
        return f"too little was asked to say what one more worker gives: {answers} recalls"
    cpu = sum(float(member["cpu_s"]) for member in figures) / answers
    host = max(by_host, key=lambda name: int(by_host[name][0]["cores"]) - len(by_host[name]))
    n, cores = len(by_host[host]), int(by_host[host][0]["cores"])
    if n >= cores:
        return f"one more worker gives nothing: every core of {', '.join(sorted(by_host))} has one"
    now, then = (k / (cpu * CONTENTION.factor(k)) for k in (n, n + 1))
    return (
        f"one more worker on {host} gives about {then - now:,.0f} recalls a second more "
        f"({now:,.0f} now, at most {cores} cores)"
    )


class ClusterAdmin(Closeable):
    """Looks at a cluster and steers it, from anywhere.

    Args:
        url: of the cluster.

    Raises:
        ValueError: if the URL is none.
        BrokerAway: if no broker answers there.
    """

    def __init__(self, url: str) -> None:
        self.address = Address.parse(url)
        self._connection = Connection(self.address, "cluster admin")

    def status(self, seconds: float = 1.0) -> ClusterStatus:
        """Return how the cluster is; rates are those of so many seconds."""
        before = {m.id: m.figures for m in self._connection.run(fleet.look(self._connection, seconds))}
        members = self._connection.run(fleet.look(self._connection, most=len(before)))
        rates = {
            m.id: (m.figures["answers"] - before[m.id]["answers"])
            / max(0.001, m.figures["time"] - before[m.id]["time"])
            for m in members
            if m.id in before
        }
        return ClusterStatus(sorted(members, key=lambda m: m.worker), self._supervisors(), rates)

    def scale(self, workers: int, host: str | None = None) -> Mapping[str, Any]:
        """Have a supervisor keep so many managers; return what it tells of itself.

        Args:
            workers: how many.
            host: of the supervisor; may be left out where there is one.

        Raises:
            ValueError: if there is no such supervisor, or several, or the number makes no sense.
        """
        supervisors = self._supervisors()
        chosen = [name for name, figures in supervisors.items() if host in (None, figures["host"])]
        if len(chosen) != 1:
            hosts = ", ".join(sorted(str(figures["host"]) for figures in supervisors.values())) or "none"
            raise ValueError(
                f"say with --host which machine is to have {workers} workers; there are: {hosts}"
            )
        figures: dict[str, Any] = wire.decode(self._ask(chosen[0], "scale", {"workers": workers}))
        return figures

    def drain(self, name: str) -> Member:
        """Have a member, by id or by worker's name, answer what it has and end.

        Raises:
            ValueError: if there is none of that name.
        """
        members = self._connection.run(fleet.look(self._connection))
        named = [member for member in members if name in (member.id, member.worker)]
        if not named:
            there_are = ", ".join(member.worker for member in members) or "none"
            raise ValueError(f"there is no member {name!r:.80}; there are: {there_are}")
        self._ask(named[0].id, "drain", {})
        return named[0]

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def _supervisors(self) -> dict[str, Mapping[str, Any]]:
        subject = f"$SRV.STATS.{self.address.supervisors}"
        replies = self._connection.run(self._connection.gather(subject, 0.25))
        services = [wire.decode(msg.data) for msg in replies]
        return {service["id"]: service["endpoints"][0]["data"] for service in services}

    def _ask(self, name: str, what: str, body: Mapping[str, Any]) -> bytes:
        subject = self.address.of(name, what)
        replies = self._connection.run(self._connection.gather(subject, 2.0, wire.encode(body), most=1))
        if not replies:
            raise ConnectionError(f"{name} does not answer")
        msg = replies[0]
        if wire.status_of(msg):
            raise wire.decode_error(msg.data)
        return bytes(msg.data)
