"""Locks that write down which one was taken while which others were held."""

from __future__ import annotations

import ast
import linecache
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import athena_tuning

PACKAGE = Path(athena_tuning.__file__).parent
KINDS = ("Lock", "RLock", "Condition", "Semaphore")

Name = str
"""``file attribute``: the file below the package, and what the lock is assigned to."""


class Nesting:
    """Which lock was taken while which was held, by any thread."""

    def __init__(self) -> None:
        self.taken: set[Name] = set()
        self.inside: dict[tuple[Name, Name], str] = {}
        self._held = threading.local()

    def took(self, name: Name) -> None:
        held: list[Name] = self._held.__dict__.setdefault("names", [])
        self.taken.add(name)
        for outer in held:
            if outer != name:
                self.inside.setdefault((outer, name), threading.current_thread().name)
        held.append(name)

    def gave(self, name: Name) -> None:
        held: list[Name] = self._held.names
        held.reverse()
        held.remove(name)
        held.reverse()


class RecordedLock:
    """A lock of the package that tells a ``Nesting`` what becomes of it."""

    def __init__(self, real: Any, name: Name, nesting: Nesting) -> None:
        self._real = real
        self._name = name
        self._nesting = nesting

    def acquire(self, *args: Any, **more: Any) -> bool:
        if got := self._real.acquire(*args, **more):
            self._nesting.took(self._name)
        return bool(got)

    def release(self, *args: Any) -> None:
        self._nesting.gave(self._name)
        self._real.release(*args)

    def __enter__(self) -> Any:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@contextmanager
def recorded() -> Iterator[Nesting]:
    """Let every lock that the package makes meanwhile be recorded; locks of others are as they are."""
    nesting = Nesting()
    real = {kind: getattr(threading, kind) for kind in KINDS}

    def maker(kind: str) -> Any:
        def make(*args: Any, **more: Any) -> Any:
            made = real[kind](*args, **more)
            frame = sys._getframe(1)
            path = Path(frame.f_code.co_filename)
            if not path.is_relative_to(PACKAGE):
                return made
            line = linecache.getline(str(path), frame.f_lineno)
            if f"threading.{kind}(" not in line:
                return made  # a library's, called from there
            target = re.match(r".*?(?:self\.)?(\w+)\s*(?::[^=]*)?=", line)
            assert target, f"{path}:{frame.f_lineno}: assign a lock to a name where it is made"
            return RecordedLock(made, f"{path.relative_to(PACKAGE)} {target[1]}", nesting)

        return make

    try:
        for kind in KINDS:
            setattr(threading, kind, maker(kind))
        yield nesting
    finally:
        for kind in KINDS:
            setattr(threading, kind, real[kind])


def locks_in_the_code() -> set[Name]:
    """Return the names of all locks that the package makes."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Assign) and any(_is_call(part, KINDS) for part in ast.walk(node.value)):
                targets = node.targets[0].elts if isinstance(node.targets[0], ast.Tuple) else node.targets
                values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
                for target, value in zip(targets, values, strict=False):
                    if any(_is_call(part, KINDS) for part in ast.walk(value)):
                        name = getattr(target, "attr", None) or target.id  # type: ignore[attr-defined]
                        found.add(f"{path.relative_to(PACKAGE)} {name}")
    return found


def threads_in_the_code() -> set[tuple[Name, str]]:
    """Return all threads that the package starts, by file and name; "…" where the name is made."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names: list[ast.expr] = []
            if _is_call(node, ("Thread",)):
                names = [keyword.value for keyword in node.keywords if keyword.arg == "name"]  # type: ignore[attr-defined]
                assert names, f"{path}: a thread has no name"
            elif _is_call(node, ("PeriodicThread",)):
                names = node.args[:1]  # type: ignore[attr-defined]
            for name in names:
                constant = name.value if isinstance(name, ast.Constant) else "…"
                found.add((str(path.relative_to(PACKAGE)), constant))
    return found


def _is_call(node: ast.AST, names: tuple[str, ...]) -> bool:
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    named = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return named in names
