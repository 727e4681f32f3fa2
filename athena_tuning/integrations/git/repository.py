"""A repository as git itself tells it: one process for the history, one for the files."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

LONGEST_FILE = 1_000_000
"""Bytes; a longer file was hardly written by a person."""

_FIXED = {
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "diff.relative": "false",
    "log.follow": "false",
    "log.showRoot": "true",
    "log.showSignature": "false",
}
"""Settings that a repository or a user may have made, and that would run programs or change what git says."""

_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}
_ELSEWHERE = {
    f"GIT_{name}" for name in ("DIR", "WORK_TREE", "INDEX_FILE", "COMMON_DIR", "NAMESPACE", "PREFIX")
}
_LOG = ("log", "--reverse", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--encoding=UTF-8")
_FORMAT = "--format=%x00%H%x00%at%x00%aN%x00%B%x00"
_READ = 1 << 16


class GitError(ValueError):
    """A repository cannot be read; the message names it and the way out."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: its hash, the author's Unix seconds and name, its message, the paths that it touched."""

    hash: str
    timestamp: float
    author: str
    message: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of the newest commit: its path, the hash of its content, its size in bytes."""

    path: str
    hash: str
    size: int


class Repository:
    """A git repository that is only read. It may be bare; what is not committed is not seen.

    Args:
        path: its folder, or one within it.

    Attributes:
        path: its top folder.
        shown: the same as plain text.
        name: the folder's name, without ".git".
        head: hash of the newest commit.
        boundary: where a shallow history ends, as a short text; "" if it is complete.

    Raises:
        GitError: if git is missing, or there is no repository with a commit.
    """

    def __init__(self, path: Path | str) -> None:
        given = Path(path)
        if not given.is_dir():
            raise GitError(f"{given} is not a folder")
        self.path = given.resolve()
        bare = self._ask("rev-parse", "--is-bare-repository") == "true"
        self._folder = Path(self._ask("rev-parse", "--absolute-git-dir"))
        top = self._folder if bare else Path(self._ask("rev-parse", "--show-toplevel"))
        self.path = top
        self.shown = str(top).encode("utf-8", "replace").decode()
        self.name = Path(self.shown).name.removesuffix(".git") or "repository"
        try:
            self.head = self._ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except GitError:
            raise GitError(f"{top} has no commit yet: there is nothing to remember") from None
        shallow = Path(self._ask("rev-parse", "--git-path", "shallow"))
        boundary = self.path / shallow
        marks = boundary.read_bytes() if boundary.is_file() else b""
        self.boundary = hashlib.sha256(marks).hexdigest()[:16] if marks else ""

    def is_ancestor(self, commit: str) -> bool:
        """Whether a commit is part of the newest one's history."""
        return self._run("merge-base", "--is-ancestor", commit, self.head).returncode == 0

    def knows(self, commit: str) -> bool:
        """Whether there is such a commit here, reachable or not."""
        return self._run("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0

    def count(self, after: str | None) -> int:
        """Return how many commits came after one; None: how many there are."""
        return int(self._ask("rev-list", "--count", *self._range(after)))

    def commits(self, after: str | None) -> Iterator[Commit]:
        """Give the commits after one, or all, the oldest first; from one stream of git's."""
        with self._stream(*_LOG, _FORMAT, *self._range(after), "--") as output:
            yield from _commits(_tokens(output))

    def blobs(self) -> Iterator[Blob]:
        """Give the plain files of the newest commit; links and other repositories are left out."""
        with self._stream("ls-tree", "-r", "-z", "--long", "--full-tree", self.head) as output:
            for entry in _tokens(output):
                about, _, path = entry.partition("\t")
                mode, kind, name, size = about.split()
                if kind == "blob" and mode.startswith("100"):
                    yield Blob(path, name, int(size))

    def texts(self, blobs: Iterable[Blob]) -> Iterator[tuple[Blob, str]]:
        """Give the contents of files, in their order; what is no text, or too long, is left out."""
        wanted = [blob for blob in blobs if blob.size <= LONGEST_FILE]
        with tempfile.TemporaryFile() as names:
            names.writelines(f"{blob.hash}\n".encode() for blob in wanted)
            names.seek(0)
            with self._stream("cat-file", "--batch", names=names) as output:
                for blob in wanted:
                    answer = output.readline().split()
                    if len(answer) != 3:  # "missing": a partial clone does not have it
                        continue
                    content = output.read(int(answer[2]))
                    output.read(1)
                    if b"\0" not in content[:8192]:
                        yield blob, content.decode("utf-8", "replace")

    def _range(self, after: str | None) -> tuple[str, ...]:
        return (self.head,) if after is None else (self.head, f"^{after}")

    def _ask(self, *args: str) -> str:
        done = self._run(*args)
        if done.returncode:
            raise GitError(_error_in_words(self.path, done.stderr))
        return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")

    def _run(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(self._command(args), check=False, capture_output=True, env=_environment())
        except FileNotFoundError:
            raise GitError(
                "git is not installed, or not on the PATH: it is what reads repositories"
            ) from None

    @contextmanager
    def _stream(self, *args: str, names: IO[bytes] | None = None) -> Iterator[IO[bytes]]:
        """Run git and give its output; if it fails on its own account, that is told in the end."""
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                self._command(args),
                stdin=names or subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
            )
            output = cast("IO[bytes]", process.stdout)
            try:
                yield output
            except BaseException:
                process.kill()
                raise
            finally:
                output.close()
                code = process.wait()
            if code > 0:
                errors.seek(0)
                raise GitError(_error_in_words(self.path, errors.read()))

    def _command(self, args: tuple[str, ...]) -> list[str]:
        fixed = [part for name, value in _FIXED.items() for part in ("-c", f"{name}={value}")]
        return ["git", "--no-pager", *fixed, "-C", str(self.path), *args]


def _environment() -> dict[str, str]:
    """Return this process's environment without what a git hook sets to point git at its repository."""
    return {name: value for name, value in os.environ.items() if name not in _ELSEWHERE} | _ENVIRONMENT


def _error_in_words(path: Path, errors: bytes) -> str:
    words = errors.decode("utf-8", "replace").strip()
    if "not a git repository" in words:
        return f"{path} is not in a git repository"
    return f"{path} cannot be read: {words.removeprefix('fatal: ') or 'git failed without a word'}"


def _tokens(output: IO[bytes]) -> Iterator[str]:
    """Give what git parts by NUL, which neither messages nor paths can hold."""
    rest = b""
    while block := output.read(_READ):
        *whole, rest = (rest + block).split(b"\0")
        for token in whole:
            yield token.decode("utf-8", "replace")


def _commits(tokens: Iterator[str]) -> Iterator[Commit]:
    """Read ``_FORMAT``: an empty token begins a commit, another one ends its message, then come paths."""
    token = next(tokens, None)
    while token is not None:
        name, at, author, message = (next(tokens) for _ in range(4))
        next(tokens)
        paths = []
        while token := next(tokens, None):
            paths.append(token.removeprefix("\n"))
        yield Commit(name, float(at or 0), author, message.strip(), tuple(paths))
