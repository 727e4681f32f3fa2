"""Brings a repository into a memory, and at the next run what is new."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from athena_tuning.integrations.git import code, commits, documents, plans, procedures
from athena_tuning.integrations.git.ledger import Ledger, Pair, Read
from athena_tuning.integrations.git.repository import Blob, GitError, Repository
from athena_tuning.integrations.git.writing import FileWriter
from athena_tuning.recall import Item, MemoryManager

T = TypeVar("T")

BATCH = 200
"""Commits or files that are written at once."""

_LONGEST_SCOPE = 200
_NOT_OURS = re.compile(
    r"(^|/)(node_modules|vendor|third_party|site-packages|\.venv|dist|build/lib)/|\.min\.(js|css)$|\.lock$"
    r"|(^|/)package-lock\.json$"
)

Progress = Callable[[str, int, int], None]
"""Told what is being read ("commits" or "files"), how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class GitReport:
    """What became of a repository.

    Attributes:
        scope: its name in the memory.
        head: its newest commit.
        commits: commits read.
        files: files read.
        removed: files of which the items were forgotten.
        remembered: items kept.
        forgotten: items let go.
        by_layer: the kept ones by layer.
        notes: what a person should know.
    """

    scope: str
    head: str
    commits: int
    files: int
    removed: int
    remembered: int
    forgotten: int
    by_layer: Mapping[str, int]
    notes: tuple[str, ...]


def ingest_git(
    manager: MemoryManager, path: Path | str, scope: str | None = None, progress: Progress | None = None
) -> GitReport:
    """Make a memory of a repository, or bring it up to date.

    Commits become episodes; documentation and docstrings facts; make targets, scripts, CI and sections that
    tell how, procedures; TODO, FIXME and open boxes plans; imports and files that change together relations.
    Another run takes only commits and files that are new or changed, and forgets what is gone; where the
    history was rewritten it is read anew. An interrupted run is made up for by the next.

    Args:
        manager: who remembers.
        path: a folder in the repository, which may be bare.
        scope: the repository's name in the memory; None: the name of its folder.
        progress: told what is read.

    Raises:
        GitError: if there is no git, no repository or no commit, or the scope is another repository's.
    """
    repository = Repository(path)
    name = repository.name if scope is None else scope
    if not 0 < len(name.strip()) <= _LONGEST_SCOPE:
        raise GitError(f"a scope has 1 to {_LONGEST_SCOPE} characters, not {len(name)}")
    return _Ingest(
        manager, repository, Ledger(manager.memory.file, name), progress or (lambda *_: None)
    ).run()


class _Ingest:
    """One run; ``ingest_git`` says what it does."""

    def __init__(
        self, manager: MemoryManager, repository: Repository, ledger: Ledger, progress: Progress
    ) -> None:
        self._manager = manager
        self._repository = repository
        self._ledger = ledger
        self._scope = ledger.scope
        self._progress = progress
        self._changed: dict[str, float] = {}  # when a path was last touched, as far as the history is read
        self._kept: Counter[str] = Counter()
        self._forgotten = 0

    def run(self) -> GitReport:
        repository, before = self._repository, self._ledger.read()
        self._check_same(before)
        now = Read(repository.shown, repository.head, repository.boundary)
        anew = before is None or before.boundary != now.boundary or not repository.is_ancestor(before.head)
        commits, touched = self._read_commits(None if anew or before is None else before.head)
        files, removed = self._read_files(anew=anew)
        self._ledger.keep_history(before, now, touched, anew=anew)
        self._relate()
        notes = []
        if now.boundary:
            notes.append("the clone is shallow: older commits are not in it (git fetch --unshallow)")
        if anew and before is not None:
            notes.append("the history is not the one read before: all of it was read anew")
        return GitReport(
            self._scope,
            now.head,
            commits,
            files,
            removed,
            self._kept.total(),
            self._forgotten,
            dict(self._kept),
            tuple(notes),
        )

    def _check_same(self, before: Read | None) -> None:
        here = self._repository
        if before is not None and before.path != here.shown and not here.knows(before.head):
            raise GitError(
                f"{self._scope!r} is the name of the repository at {before.path} in this memory: "
                f"give {here.shown} another one with --scope"
            )

    def _read_commits(self, after: str | None) -> tuple[int, Counter[Pair]]:
        total, done = self._repository.count(after), 0
        touched: Counter[Pair] = Counter()
        known = self._ledger.items("episodic", "commit").keys() if after is None else frozenset()
        seen: set[str] = set()
        for batch in _batches(self._repository.commits(after)):
            items = [commits.episode(self._scope, commit) for commit in batch]
            self._remember(items)
            seen.update(item.id for item in items)
            for commit in batch:
                touched.update(commits.pairs(commit))
                self._changed.update(dict.fromkeys(commit.paths, commit.timestamp))
            done += len(batch)
            self._progress("commits", done, total)
        self._forget(known - seen)
        return done, touched

    def _read_files(self, *, anew: bool) -> tuple[int, int]:
        known = self._ledger.files()
        here = {blob.path: blob for blob in self._repository.blobs() if not _NOT_OURS.search(blob.path)}
        changed = [blob for blob in here.values() if anew or known.get(blob.path, ("",))[0] != blob.hash]
        gone = known.keys() - here.keys()
        self._forget(item_id for path in gone for item_id in known[path][1])
        self._ledger.drop_files(gone)
        done: set[str] = set()
        for batch in _batches(self._repository.texts(changed)):
            written = {blob.path: self._items(blob, text, here.keys()) for blob, text in batch}
            self._replace([blob for blob, _ in batch], written, known)
            done |= written.keys()
            self._progress("files", len(done), len(changed))
        no_texts = [blob for blob in changed if blob.path not in done]
        self._replace(no_texts, {}, known)
        self._progress("files", len(changed), len(changed))
        return len(done), len(gone)

    def _items(self, blob: Blob, text: str, paths: Collection[str]) -> list[Item]:
        writer = FileWriter(self._scope, blob.path, self._changed.get(blob.path))
        is_document = documents.is_document(blob.path)
        if is_document:
            documents.write(writer, text)
        elif code.is_code(blob.path):
            code.write(writer, text, paths)
        if procedures.is_procedure(blob.path, text):
            procedures.write(writer, text)
        plans.write(writer, text, prose=is_document)
        return writer.items

    def _replace(
        self,
        blobs: Sequence[Blob],
        written: Mapping[str, list[Item]],
        known: Mapping[str, tuple[str, list[str]]],
    ) -> None:
        """Put the items of files in the place of those that they had, and note it."""
        rows = [(blob.path, blob.hash, [item.id for item in written.get(blob.path, ())]) for blob in blobs]
        for path, _, ids in rows:
            self._forget(set(known[path][1]) - set(ids) if path in known else ())
        self._remember([item for items in written.values() for item in items])
        self._ledger.keep_files(rows)

    def _relate(self) -> None:
        """Say anew what changes together; what is said already stays as it is."""
        together = self._ledger.together(commits.LEAST_TOGETHER, commits.MOST_PAIRS)
        stored = self._ledger.items("graph", "together")
        wanted = commits.companions(self._scope, together)
        self._forget(stored.keys() - {item.id for item in wanted})
        self._remember([item for item in wanted if stored.get(item.id) != item.text])

    def _remember(self, items: Sequence[Item]) -> None:
        if items:
            self._kept.update(self._manager.remember_many(items))

    def _forget(self, ids: Iterable[str]) -> None:
        self._forgotten += self._manager.forget_many(ids, self._scope)


def _batches(things: Iterable[T]) -> Iterator[list[T]]:
    waiting = iter(things)
    while batch := list(islice(waiting, BATCH)):
        yield batch
