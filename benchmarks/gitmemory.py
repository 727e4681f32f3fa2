"""How long a memory of a repository takes: ten thousand commits by ``git fast-import``, then one more.

The repository has packages with docstrings, imports and TODOs, and a guide with sections; a commit touches
one to four files that belong together. ``--quick`` makes two thousand commits; the targets are the same, by
rate.
"""

from __future__ import annotations

import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Figure, options, progress, report

from athena_tuning.integrations.git.ingest import ingest_git
from athena_tuning.recall import MemoryManager

PACKAGES = 40
MODULES = 15
WORDS = [
    "billing",
    "search",
    "deploy",
    "timeout",
    "index",
    "queue",
    "worker",
    "invoice",
    "cache",
    "token",
    "retry",
    "ledger",
    "shard",
    "replica",
]
MINUTES = 2.0


def module(rng: random.Random, package: int, number: int) -> str:
    """Return a Python file with docstrings, an import and a TODO."""
    named = " ".join(rng.choices(WORDS, k=4))
    functions = "\n\n".join(
        f'def f{n}(a):\n    """Handle {" ".join(rng.choices(WORDS, k=6))}."""\n    return a' for n in range(6)
    )
    other = f"from pkg{rng.randrange(PACKAGES)} import mod{rng.randrange(MODULES)}"
    return f'"""Module {package}.{number}: {named}."""\n\n{other}\n\n# TODO: {named} again\n\n{functions}\n'


def guide(rng: random.Random) -> str:
    """Return a document of forty sections."""
    return "# Guide\n\n" + "\n".join(
        f"## How to {rng.choice(WORDS)}\n\n{' '.join(rng.choices(WORDS, k=80))}\n" for _ in range(40)
    )


def changed(rng: random.Random, number: int) -> Iterator[tuple[str, str]]:
    """Give the files that a commit touches."""
    if number % 50 == 0:
        yield "docs/guide.md", guide(rng)
    package = rng.randrange(PACKAGES)
    first = rng.randrange(MODULES)
    for offset in range(rng.randint(1, 4)):
        mod = (first + offset) % MODULES
        yield f"pkg{package}/mod{mod}.py", module(rng, package, mod)


def history(commits: int, first: int = 0) -> Iterator[bytes]:
    """Give a ``git fast-import`` stream."""
    rng = random.Random(commits + first)
    for number in range(first, first + commits):
        words = f"{rng.choice(WORDS).title()} the {' '.join(rng.choices(WORDS, k=3))}\n\nBecause of it."
        yield f"commit refs/heads/main\ncommitter Ana <a@b> {1_700_000_000 + number * 600} +0000\n".encode()
        yield f"data {len(words)}\n{words}\n".encode()
        if number == first and first:
            yield b"from refs/heads/main^0\n"
        for path, text in changed(rng, number):
            yield f"M 644 inline {path}\ndata {len(text.encode())}\n{text}\n".encode()


def add(repository: Path, commits: int, first: int = 0) -> None:
    """Write commits into a repository."""
    subprocess.run(
        ["git", "-C", str(repository), "fast-import", "--quiet"],
        input=b"".join(history(commits, first)),
        check=True,
    )


def main() -> int:
    asked = options(__doc__)
    commits = 2_000 if asked.quick else 10_000
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "made.git"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(repository)], check=True)
        progress(f"making {commits:,} commits")
        add(repository, commits)
        with MemoryManager(Path(folder) / "memory.db") as manager:
            progress("reading them")
            start = time.perf_counter()
            told = ingest_git(manager, repository)
            passed = time.perf_counter() - start
            assert told.commits == commits
            bound = MINUTES * 60 * commits / 10_000
            figures.append(Figure(f"a repository of {commits:,} commits", passed, "s", bound))
            figures.append(Figure("items kept", told.remembered, ""))
            figures.append(Figure("items kept a second", told.remembered / passed, "/s"))
            start = time.perf_counter()
            ingest_git(manager, repository)
            again = time.perf_counter() - start
            figures.append(Figure("a run that finds nothing new", again, "s"))
            figures.append(
                Figure("a run that finds nothing new, against the first", again / passed, "x", 0.1)
            )
            add(repository, 20, commits)
            start = time.perf_counter()
            assert ingest_git(manager, repository).commits == 20
            some = time.perf_counter() - start
            figures.append(Figure("twenty commits more", some, "s"))
            figures.append(Figure("twenty commits more, against the first", some / passed, "x", 0.3))
    return report(figures, asked)


if __name__ == "__main__":
    raise SystemExit(main())
