"""What of a repository a memory already holds; kept in the memory's own file, so that the two never part."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from athena_tuning.integrations.git.repository import GitError
from athena_tuning.recall.layers.memory_file import MemoryFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS git_repository(
    scope TEXT PRIMARY KEY, path TEXT NOT NULL, head TEXT NOT NULL, boundary TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS git_file(
    scope TEXT NOT NULL, path TEXT NOT NULL, blob TEXT NOT NULL, ids TEXT NOT NULL, PRIMARY KEY(scope, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS git_together(
    scope TEXT NOT NULL, one TEXT NOT NULL, other TEXT NOT NULL, commits INTEGER NOT NULL,
    PRIMARY KEY(scope, one, other)
) WITHOUT ROWID;
"""

Pair = tuple[str, str]
"""Two paths in their order; twice the same stands for the commits that touched it at all."""


@dataclass(frozen=True, slots=True)
class Read:
    """How far a repository was read: where it was, its newest commit then, where its history ended."""

    path: str
    head: str
    boundary: str


class Ledger:
    """What was read of one repository.

    Items are written before the ledger says so; whoever is interrupted in between writes them again under
    the same ids.

    Args:
        file: the memory's.
        scope: the repository's name in the memory.
    """

    def __init__(self, file: MemoryFile, scope: str) -> None:
        self._file = file
        self.scope = scope
        with file.write() as db:
            db.execute(_SCHEMA)

    def read(self) -> Read | None:
        """Return how far it was read; None: not at all."""
        rows = self._file.read(
            "SELECT path, head, boundary FROM git_repository WHERE scope = ?", (self.scope,)
        )
        return Read(*rows[0]) if rows else None

    def files(self) -> dict[str, tuple[str, list[str]]]:
        """Return the hash of the content, and the ids of the items, of each path that was read."""
        rows = self._file.read("SELECT path, blob, ids FROM git_file WHERE scope = ?", (self.scope,))
        return {path: (blob, json.loads(ids)) for path, blob, ids in rows}

    def keep_files(self, files: Iterable[tuple[str, str, list[str]]]) -> None:
        """Note paths as read, with the hash of their content and the ids of their items."""
        rows = [(self.scope, path, blob, json.dumps(ids)) for path, blob, ids in files]
        with self._file.write() as db:
            db.executemany("INSERT OR REPLACE INTO git_file VALUES (?, ?, ?, ?)", rows)

    def drop_files(self, paths: Iterable[str]) -> None:
        """Forget that paths were read."""
        with self._file.write() as db:
            db.executemany(
                "DELETE FROM git_file WHERE scope = ? AND path = ?", [(self.scope, path) for path in paths]
            )

    def keep_history(self, before: Read | None, now: Read, touched: Counter[Pair], *, anew: bool) -> None:
        """Note how far the history was read, and what its commits touched together.

        Args:
            before: what ``read`` gave when this began.
            now: how far it is read now.
            touched: commits by pair of paths, of those read now.
            anew: the whole history was read: what was counted before goes.

        Raises:
            GitError: if somebody else has read it meanwhile; nothing is noted.
        """
        rows = [(self.scope, *pair, commits) for pair, commits in touched.items()]
        with self._file.write() as db:
            cursor = db.execute(
                "SELECT path, head, boundary FROM git_repository WHERE scope = ?", (self.scope,)
            )
            row = cursor.fetchone()
            if (Read(*row) if row else None) != before:
                raise GitError(f"{self.scope} was read by somebody else at the same time: run it again")
            if anew:
                db.execute("DELETE FROM git_together WHERE scope = ?", (self.scope,))
            db.executemany(
                """
                INSERT INTO git_together VALUES (?, ?, ?, ?) ON CONFLICT(scope, one, other)
                DO UPDATE SET commits = commits + excluded.commits
                """,
                rows,
            )
            row = (self.scope, now.path, now.head, now.boundary)
            db.execute("INSERT OR REPLACE INTO git_repository VALUES (?, ?, ?, ?)", row)

    def together(self, least: int, limit: int) -> Mapping[Pair, tuple[int, int]]:
        """Return pairs of paths touched together by at least ``least`` commits, the most first.

        Returns:
            For each pair the commits that touched both, and those that touched the one touched more seldom.
        """
        rows = self._file.read(
            """
            SELECT pair.one, pair.other, pair.commits, min(a.commits, b.commits) FROM git_together AS pair
            JOIN git_together AS a ON a.scope = pair.scope AND a.one = pair.one AND a.other = pair.one
            JOIN git_together AS b ON b.scope = pair.scope AND b.one = pair.other AND b.other = pair.other
            JOIN git_file AS here ON here.scope = pair.scope AND here.path = pair.one
            JOIN git_file AS there ON there.scope = pair.scope AND there.path = pair.other
            WHERE pair.scope = ? AND pair.one != pair.other AND pair.commits >= ?
                AND pair.commits * 3 >= min(a.commits, b.commits)
            ORDER BY pair.commits DESC, pair.one, pair.other LIMIT ?
            """,
            (self.scope, least, limit),
        )
        return {(one, other): (both, of) for one, other, both, of in rows}

    def items(self, layer: str, kind: str) -> dict[str, str]:
        """Return the ids and texts of items of this scope in the memory."""
        rows = self._file.read(
            "SELECT id, text FROM item WHERE layer = ? AND scope = ? AND kind = ?", (layer, self.scope, kind)
        )
        return dict(rows)
