"""``athena-tuning settings``: what is set, and where."""

from __future__ import annotations

from urllib.parse import urlsplit

import click

from athena_tuning import settings as configured
from athena_tuning.cli.output import as_json, print_json, print_table


@click.command()
@as_json
def settings(*, as_json: bool) -> None:
    """Show each setting, its value, and where that is from.

    A setting is looked for in the environment (ATHENA_TUNING_STORE), then in the file (store = "…"). The
    file's tables are defaults of commands: [dashboard] with port = 8600 is what --port says.
    """
    file = configured.settings_file()
    rows = [
        (setting.key, _shown(setting), configured.current.source(setting.name), setting.default)
        for setting in configured.KNOWN
    ]
    commands = _flat(file.commands)
    if as_json:
        names = ("setting", "value", "from", "default")
        print_json(
            {
                "file": str(file.path),
                "settings": [dict(zip(names, row, strict=True)) for row in rows],
                "commands": commands,
            }
        )
        return
    print_table(("setting", "value", "from", "without it"), rows)
    click.echo(f"\nFile: {file.path}" + ("" if file.path.is_file() else " (there is none)"))
    for option, value in commands.items():
        click.echo(f"  {option} = {value}")


def _shown(setting: configured.Setting) -> str | None:
    """Return a value without its secrets; None where nothing is set."""
    value = configured.current.get(setting.name)
    if value and setting.secret:
        return "(secret)"
    password = urlsplit(value).password if value and "://" in value else None
    return value.replace(password, "…") if value and password else value


def _flat(tables: configured.Tables, above: str = "") -> dict[str, object]:
    """Return the options of all commands by their way, such as "load run --rate"."""
    options: dict[str, object] = {}
    for key, value in tables.items():
        if isinstance(value, dict):
            options |= _flat(value, f"{above}{key} ")
        else:
            options[f"{above}--{key.replace('_', '-')}"] = value
    return options
