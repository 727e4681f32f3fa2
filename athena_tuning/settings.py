"""Settings: what the environment says, else what a TOML file says, else the default."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

Tables = Mapping[str, Any]

PREFIX = "ATHENA_TUNING_"
FILE_SETTING = f"{PREFIX}CONFIG"


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that can be set for all programs of this package.

    Attributes:
        name: of the environment's variable.
        meaning: in a sentence.
        default: what holds without it, in words.
        secret: whether its value is never shown.
    """

    name: str
    meaning: str
    default: str
    secret: bool = False

    @property
    def key(self) -> str:
        """What it is called in the file.

        Examples:
            >>> Setting("ATHENA_TUNING_SLO_MS", "", "").key
            'slo_ms'
        """
        return self.name.removeprefix(PREFIX).lower()


KNOWN = (
    Setting(f"{PREFIX}HOME", "Folder for memories, stores and runs.", "the user's data folder"),
    Setting(f"{PREFIX}MEMORY", "Memory file.", "memory.db in the home folder"),
    Setting(f"{PREFIX}STORE", "Store: sqlite:///FILE or postgresql://…", "store.db in the home folder"),
    Setting(f"{PREFIX}TEXTS", "What leaves the process of a query's text: keep, hash or drop.", "keep"),
    Setting(f"{PREFIX}NAMES", "Query types, and layers, that are told apart; the rest is “(other)”.", "1000"),
    Setting(f"{PREFIX}ATTACH", "1: the app shows the store's managers and runs none itself.", "0"),
    Setting(f"{PREFIX}DEMO", "0: the app makes no load of its own on the sample memory.", "1"),
    Setting(f"{PREFIX}SLO_MS", "The p99 that the Overview measures against, in ms.", "none"),
    Setting(f"{PREFIX}WEBHOOK", "Where the app sends alerts: http(s)://….", "nowhere", secret=True),
    Setting(f"{PREFIX}HOSTS", "Host names that the app answers to, beside loopback's and addresses.", "none"),
    Setting(f"{PREFIX}OPERATORS", "Who becomes an operator by signing in: addresses, with commas.", "none"),
    Setting(
        f"{PREFIX}OPERATOR_TOKEN", "Keeps the operators' link the same.", "new at each start", secret=True
    ),
    Setting(
        f"{PREFIX}ROLE", "viewer: nobody may write, not even on this machine.", "operator on this machine"
    ),
)
"""All settings; ``docs/settings.md`` lists them."""


class SettingsError(ValueError):
    """The file of settings cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What a file of settings says.

    Attributes:
        path: the file.
        values: settings by the names of the environment's variables.
        commands: defaults of commands by their names, as the file has them.
    """

    path: Path
    values: Mapping[str, str] = field(default_factory=dict)
    commands: Tables = field(default_factory=dict)


def settings_file() -> SettingsFile:
    """Return the file of settings: the one that ``ATHENA_TUNING_CONFIG`` names, else the user's.

    It is read once in the life of a process.

    Raises:
        SettingsError: if it cannot be read, or the one that is named is missing.
    """
    named = os.environ.get(FILE_SETTING)
    if named:
        return _read(Path(named), must_be_there=True)
    return _read(platformdirs.user_config_path("athena-tuning") / "config.toml", must_be_there=False)


class Settings(Mapping[str, str]):
    """The settings in force, by the names of the environment's variables.

    Raises:
        SettingsError: when a value is looked up, if the file cannot be read.

    Examples:
        >>> current.get("NO_SUCH_SETTING") is None
        True
    """

    def __getitem__(self, name: str) -> str:
        value = os.environ.get(name)
        return settings_file().values[name] if value is None else value

    def __iter__(self) -> Iterator[str]:
        return iter({**settings_file().values, **os.environ})

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def source(self, name: str) -> str:
        """Return where a setting's value is from: "environment", the file's path, or "default"."""
        if name in os.environ:
            return "environment"
        file = settings_file()
        return str(file.path) if name in file.values else "default"


current = Settings()
"""The settings of this process."""


@cache
def _read(path: Path, *, must_be_there: bool) -> SettingsFile:
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_be_there:
            raise SettingsError(f"{FILE_SETTING} names {path}, which is missing") from None
        return SettingsFile(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    commands = {name: value for name, value in tables.items() if isinstance(value, dict)}
    names = {setting.key: setting.name for setting in KNOWN}
    values = {}
    for key, value in tables.items():
        if key in commands:
            continue
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            hint = f"; is {near[0]!r} meant?" if near else f"; there are {', '.join(sorted(names))}"
            raise SettingsError(f"{path}: there is no setting {key!r}{hint}")
        values[names[key]] = _as_text(path, key, value)
    return SettingsFile(path, values, commands)


def _as_text(path: Path, key: str, value: object) -> str:
    """Return a value as the environment would have it."""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (str, int, float)):
        return str(value)
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return ",".join(value)
    raise SettingsError(f"{path}: {key} is to be a text, a number, true, false or a list of texts")
