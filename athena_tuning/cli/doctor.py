"""``athena-tuning doctor``: is this machine and its store as they should be, and what to do if not."""

from __future__ import annotations

from dataclasses import asdict

import click

from athena_tuning.cli.output import as_json, print_json, print_text, store_option

_MARKS = {"good": "✓", "advice": "!", "act": "✗"}


@click.command()
@store_option
@as_json
@click.pass_context
def doctor(ctx: click.Context, store: str | None, as_json: bool) -> None:
    """Examine Python, SQLite, the store, files and their rights, processes and disks; change nothing.

    Exit code 1: something must be done; what, stands beside it.
    """
    from athena_tuning.service.doctor import examine
    from athena_tuning.store.findings import Verdict

    findings = examine(store)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            line = f"{_MARKS[finding.verdict]} {finding.subject}: {finding.found}"
            print_text(line)
            if finding.remedy:
                print_text(f"    → {finding.remedy}")
    if any(finding.verdict is Verdict.ACT for finding in findings):
        ctx.exit(1)
