"""``athena-tuning decision``: why a config was chosen, and the same decision made again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from athena_tuning.cli.access import attached, moment
from athena_tuning.cli.output import as_json, print_json, print_records, print_table, print_text, store_option
from athena_tuning.service import units

if TYPE_CHECKING:
    from athena_tuning.model import Decision

_OF_ITS_OWN = ("decision_id", "time", "config_version")
"""What differs when the same decision is made again."""

_LOOKED_THROUGH = 10_000


@click.group()
def decision() -> None:
    """Show the tuner's decisions, and make one again from the evidence that was kept with it."""


@decision.command(name="list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
@store_option
@as_json
def list_decisions(limit: int, store: str | None, as_json: bool) -> None:
    """List decisions, newest first."""
    with attached(store) as service:
        decisions = service.decisions(limit)
    rows = [
        [d.decision_id[:12], moment(d.time), d.scope, d.action, d.config_version, d.summary]
        for d in decisions
    ]
    columns = ["id", "when", "scope", "action", "version", "summary"]
    print_records([d.to_dict() for d in decisions], columns, rows, as_json=as_json)


@decision.command()
@click.argument("decision_id", metavar="ID")
@click.option("--replay", is_flag=True, help="Make it again from the evidence that was kept with it.")
@store_option
@as_json
def show(decision_id: str, replay: bool, store: str | None, as_json: bool) -> None:
    """Show the decision ID, or the newest whose id begins so.

    With --replay the exit code is 1 if another answer comes out.
    """
    with attached(store) as service:
        made = _newest_with_id(service.decisions(_LOOKED_THROUGH), decision_id)
        evidence = service.store.decision_evidence(made.decision_id) if replay else None
    printed: dict[str, Any] = made.to_dict()
    differing: list[str] = []
    if replay:
        if evidence is None:
            raise click.ClickException(
                f"the evidence of decision {made.decision_id} is not kept (any more): it is kept for the "
                "newest 100 decisions of a tuner"
            )
        again = _made_again(made, evidence)
        differing = _differing(made, again)
        printed["replay"] = {
            "same": not differing,
            "differing": differing,
            "evidence_bytes": len(evidence),
            "decision": again.to_dict() if again else None,
        }
    if as_json:
        print_json(printed)
    else:
        _tell(made, printed.get("replay"))
    if differing:
        raise click.exceptions.Exit(1)


def _newest_with_id(decisions: list[Decision], decision_id: str) -> Decision:
    for made in decisions:
        if made.decision_id.startswith(decision_id):
            return made
    raise ValueError(f"there is no decision {decision_id!r:.80}: `athena-tuning decision list` names them")


def _made_again(made: Decision, evidence: bytes) -> Decision | None:
    from athena_tuning.tuning.rerun import rerun

    return next((again for again in rerun(evidence) if again.scope == made.scope), None)


def _differing(made: Decision, again: Decision | None) -> list[str]:
    """Return the fields in which a decision and the same made again differ, as a store keeps them."""
    if again is None:
        return ["no decision"]
    one, other = (json.loads(json.dumps(d.to_dict(), default=lambda n: n.item())) for d in (made, again))
    same = {name: (one[name], other[name]) for name in one if name not in _OF_ITS_OWN}
    return [name for name, (a, b) in same.items() if json.dumps(a) != json.dumps(b)]


def _tell(made: Decision, replay: dict[str, Any] | None) -> None:
    from athena_tuning.service import parameter_rows

    print_text(f"{made.decision_id} · {moment(made.time)} · {made.policy} · {made.scope} · {made.action}")
    print_text(parameter_rows.summary_of(made))
    print_table(
        ["parameter", "before", "after", "why"],
        [[row.label, row.before, row.after, row.why] for row in parameter_rows.decided(made)],
    )
    if replay is not None:
        size = f"{units.count(replay['evidence_bytes'])} bytes of evidence"
        outcome = "the same answer" if replay["same"] else f"another answer: {', '.join(replay['differing'])}"
        print_text(f"made again from {size}: {outcome}")
