"""Locks that write down which one was taken while which others were held."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
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

    def took(self, name: Name) -> list[Name]:
        """Note that this thread has taken a lock; return what it holds now."""
        held: list[Name] = self._held.__dict__.setdefault("names", [])
        self.taken.add(name)
        for outer in held:
            if outer != name:
                self.inside.setdefault((outer, name), threading.current_thread().name)
        held.append(name)
        return held


class RecordedLock:
    """A lock of the package that tells a ``Nesting`` what becomes of it."""

    def __init__(self, real: Any, name: Name, nesting: Nesting) -> None:
        self._real = real
        self._name = name
        self._nesting = nesting
        self._holders: list[list[Name]] = []

    def acquire(self, *args: Any, **more: Any) -> bool:
        if got := self._real.acquire(*args, **more):
            self._holders.append(self._nesting.took(self._name))
        return bool(got)

    def release(self, *args: Any) -> None:
        self._holders.pop().remove(self._name)  # another thread may give a lock back that is used as a signal
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
            name = _locks_of(path).get(frame.f_lineno)  # None: a library's own, called from there
            return made if name is None else RecordedLock(made, name, nesting)

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
    return {name for path in PACKAGE.rglob("*.py") for name in _locks_of(path).values()}


@cache
def _locks_of(path: Path) -> dict[int, Name]:
    """Return the names of the locks that a file makes, by line.

    One that is local to a call is not meant: it guards nothing, somebody waits for it.
    """
    found = {}
    module = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(module):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            for one, value in pairs:
                if not isinstance(one, ast.Attribute) and node not in module.body:
                    continue
                for call in filter(_makes_a_lock, ast.walk(value)):
                    name = getattr(one, "attr", None) or one.id
                    found[call.lineno] = f"{path.relative_to(PACKAGE)} {name}"
        elif isinstance(node, ast.Return | ast.Expr):
            assert not any(map(_makes_a_lock, ast.walk(node))), f"{path}:{node.lineno}: give the lock a name"
    return found


def _makes_a_lock(node: ast.AST) -> bool:
    return _is_call(node, KINDS) and ast.unparse(node.func).startswith("threading.")


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
