"""Where things are: the folder for data, the dashboard's files, the sample data."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import platformdirs

from athena_tuning import settings


def home() -> Path:
    """Return the folder for memories, stores and runs; it is made if it is missing.

    ``ATHENA_TUNING_HOME`` names it; without that it is the user's data folder.
    """
    named = settings.current.get("ATHENA_TUNING_HOME")
    folder = Path(named) if named else platformdirs.user_data_path("athena-tuning")
    return make_private_folder(folder)


def dashboard() -> Path:
    """Return the folder that holds ``app.py``, ``pages/`` and ``sample_data/``.

    A wheel carries them inside the package; in a checkout they lie beside it.
    """
    package = Path(__file__).parent
    installed = package / "dashboard"
    return installed if installed.is_dir() else package.parent


def sample_data() -> Path:
    """Return the folder of the sample memory and the sample workloads."""
    return dashboard() / "sample_data"


def default_store_url() -> str:
    """Return the store to use: ``ATHENA_TUNING_STORE``, else a SQLite file in ``home()``."""
    return settings.current.get("ATHENA_TUNING_STORE") or f"sqlite:///{home() / 'store.db'}"


def default_memory() -> Path:
    """Return the memory file to use: ``ATHENA_TUNING_MEMORY``, else ``memory.db`` in ``home()``."""
    return Path(settings.current.get("ATHENA_TUNING_MEMORY") or home() / "memory.db")


def make_private_folder(folder: Path) -> Path:
    """Make a folder that is missing, and what is missing above it, for this user alone; return it.

    What lies there quotes people's questions. A folder that is there keeps its rights.
    """
    if not folder.is_dir():
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def make_private_file(path: Path) -> None:
    """Make a file that is missing, empty and for this user alone; one that is there keeps its rights.

    Where that fails nothing is said: whoever opens the file next says what is wrong with it.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
