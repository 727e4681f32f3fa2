"""``athena-tuning alerts`` and ``incidents``: what has begun, what is over, and what happened around it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from athena_tuning import settings
from athena_tuning.cli.access import attached, moment
from athena_tuning.cli.output import as_json, print_json, print_records, print_table, print_text, store_option
from athena_tuning.service import units
from athena_tuning.service.alerts import Alert

_HOURS = 25.0


@click.command()
@click.option("--watch", is_flag=True, help="Look at the rules every five seconds, until Ctrl+C.")
@click.option("--webhook", metavar="URL", help="With --watch: tell this address (default: the setting).")
@store_option
@as_json
def alerts(watch: bool, webhook: str | None, store: str | None, as_json: bool) -> None:
    """List the alerts of the last thirty days, those that hold ahead; --watch looks for new ones.

    The app looks while it runs. Each beginning and end is told to the webhook at most once, whoever looks.
    """
    if webhook and not watch:
        raise click.UsageError("--webhook needs --watch: somebody has to look")
    with attached(store, hours=_HOURS) as service:
        if watch:
            from athena_tuning.service.alerting import EVERY_SECONDS, Alerting

            alerting = Alerting(
                service, webhook or settings.current.get("ATHENA_TUNING_WEBHOOK") or "", _tell
            )
            while True:
                service.tail.look()
                alerting.look()
                time.sleep(EVERY_SECONDS)
        known = sorted(service.alerts(), key=lambda alert: alert.ended is not None)
    print_records(
        [alert.to_dict() for alert in known],
        ["since", "", "rule", "what"],
        [[moment(alert.began), _state(alert), alert.rule, alert.sentence] for alert in known],
        as_json=as_json,
        none="no alert in the last thirty days",
    )


@click.command()
@click.argument("incident", required=False)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write INCIDENT as one HTML file."
)
@store_option
@as_json
def incidents(incident: str | None, html: Path | None, store: str | None, as_json: bool) -> None:
    """List the incidents of the last thirty days, or show INCIDENT, by its id: what happened, in order."""
    from athena_tuning.service.incident_report import incident_report
    from athena_tuning.service.incidents import incidents_of, say_of_incident, timeline

    if html and not incident:
        raise click.UsageError("--html needs an INCIDENT: `athena-tuning incidents` lists them")
    with attached(store, hours=_HOURS) as service:
        known = incidents_of(service.alerts())
        if incident is None:
            print_records(
                [one.to_dict() for one in known],
                ["id", "began", "took", "what"],
                [[one.id, moment(one.began), _took(one.began, one.ended), one.sentence] for one in known],
                as_json=as_json,
                none="no incident in the last thirty days",
            )
            return
        chosen = next((one for one in known if one.id == incident), None)
        if chosen is None:
            raise click.ClickException(f"no incident {incident!r}: `athena-tuning incidents` lists them")
        service.tail.look()
        told = timeline(service, chosen)
    if html:
        html.write_text(incident_report(told), encoding="utf-8")
    if as_json:
        happened = [{"time": each.start, "lane": each.lane, "what": each.words} for each in told.occurrences]
        print_json(
            {**chosen.to_dict(), "p99_before_ms": told.before, "p99_ms": told.during, "happened": happened}
        )
        return
    print_text(chosen.sentence, style="bold")
    print_text(say_of_incident(told))
    print_table(
        ["when", "lane", "what"], [[moment(each.start), each.lane, each.words] for each in told.occurrences]
    )


def _tell(alert: Alert) -> None:
    click.echo(f"{moment(alert.ended or alert.began)} {_state(alert)}: {alert.sentence}")


def _state(alert: Alert) -> str:
    return "holds" if alert.ended is None else "over"


def _took(began: float, ended: float | None) -> str:
    return "holds" if ended is None else units.seconds(ended - began)
