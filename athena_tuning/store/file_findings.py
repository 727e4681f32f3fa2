"""Examining a file that is to be private and on a disk of this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from athena_tuning.store.findings import Finding, act, advice, good

_ELSEWHERE = ("nfs", "cifs", "smb", "9p", "sshfs", "afs", "gluster", "ceph", "lustre")
_MOUNTS = Path("/proc/mounts")


def rights(subject: str, path: Path) -> Finding:
    """Say whether this user may write a file or folder, and whether others may read it."""
    if not os.access(path, os.R_OK | os.W_OK):
        return act(subject, f"{path} cannot be written by this user", f"chown or chmod u+rw {path}")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        private = "700" if path.is_dir() else "600"
        return advice(
            subject,
            f"{path} has the rights {mode:o}: others on this machine may read what was asked",
            f"chmod {private} {path}",
        )
    return good(subject, f"{path} is this user's alone")


def disk(subject: str, path: Path, mounts: Path = _MOUNTS) -> Finding:
    """Say whether a file is on a disk of this machine, as SQLite's write-ahead log needs it."""
    kind = _file_system(path, mounts)
    if any(part in kind for part in _ELSEWHERE):
        return act(
            subject,
            f"{path} is on a file system of a network ({kind}), where SQLite cannot share a file",
            "keep it on a disk of this machine, or use PostgreSQL",
        )
    return good(subject, f"{path} is on a disk of this machine" + (f" ({kind})" if kind else ""))


def _file_system(path: Path, mounts: Path) -> str:
    """Return the kind of file system that a path is on; nothing where the system does not tell."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return ""
    place = path.resolve()
    under = [(len(line[1]), line[2]) for line in lines if len(line) > 2 and place.is_relative_to(line[1])]
    return max(under)[1] if under else ""
