"""Make targets, scripts, package commands and CI: how things are done here."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from athena_tuning.integrations.git.writing import FileWriter, parts

_MAKE = re.compile(r"(^|/)(GNUmakefile|[Mm]akefile|[Jj]ustfile|[\w.-]+\.mk)$")
_CI = re.compile(
    r"(^|/)(\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.yml|\.circleci/config\.yml|azure-pipelines\.yml"
    r"|\.travis\.yml|\.drone\.yml|Jenkinsfile|\.buildkite/[^/]+\.ya?ml|\.ci/[^/]+)$"
)
_BUILD = re.compile(
    r"(^|/)(Dockerfile[\w.-]*|Containerfile|(docker-)?compose[\w.-]*\.ya?ml|tox\.ini|Procfile)$"
)
_SCRIPT = re.compile(r"\.(sh|bash|zsh|ps1|bat|cmd)$")
_SCRIPT_FOLDER = re.compile(r"(^|/)(bin|scripts?|tools|hack)/[\w.-]+$")
_TARGET = re.compile(r"^([A-Za-z0-9][\w./-]*(?:[ \t]+[\w./-]+)*)[ \t]*:(?![=:])[^#]*(?:#+[ \t]*(.*))?$")


def is_procedure(path: str, text: str) -> bool:
    """Whether a file says how something is done.

    Examples:
        >>> is_procedure("Makefile", ""), is_procedure("bin/serve", "#!/bin/sh"), is_procedure("a.py", "")
        (True, True, False)
    """
    if any(pattern.search(path) for pattern in (_MAKE, _CI, _BUILD, _SCRIPT)):
        return True
    if path.rsplit("/", 1)[-1] in ("package.json", "pyproject.toml"):
        return True
    return text.startswith("#!") and _SCRIPT_FOLDER.search(path) is not None


def write(writer: FileWriter, text: str) -> None:
    """Add the procedures of a file."""
    path = writer.path
    if _MAKE.search(path):
        command = "just" if path.lower().endswith("justfile") else "make"
        for target, words in targets(text):
            writer.add("procedural", "target", f"{path}: {command} {target}\n\n{words}", (target,))
    elif path.endswith("package.json"):
        _commands(writer, _of(text, json.loads, "scripts"), "npm run ")
    elif path.endswith("pyproject.toml"):
        _commands(writer, _of(text, tomllib.loads, "project", "scripts"), "")
    else:
        kind, title = ("CI", "What runs on each change") if _CI.search(path) else ("script", "Script")
        for part in parts(text):
            writer.add("procedural", kind, f"{title}: {path}\n\n{part}")


def targets(text: str) -> Iterator[tuple[str, str]]:
    r"""Give the targets of a makefile: what the comment says, and the recipe.

    Examples:
        >>> list(targets("# Runs all tests.\ntest: ready\n\tpytest\n"))
        [('test', 'Runs all tests.\npytest')]
    """
    comment: list[str] = []
    target, lines = "", [""]
    for line in [*text.splitlines(), "end:"]:
        if line.startswith(("\t", "    ")) and target:
            lines.append(line.strip())
            continue
        match = _TARGET.match(line)
        if match or not line.strip():
            if target:
                yield target, "\n".join(filter(None, lines))
            target, lines = "", []
        if match:
            target, lines = match[1], [*comment, (match[2] or "").strip()]
        comment = [*comment, line.strip("# ")] if line.startswith("#") else []


def _commands(writer: FileWriter, commands: Any, how: str) -> None:
    if isinstance(commands, dict):
        for name, command in commands.items():
            writer.add("procedural", "command", f"{writer.path}: {how}{name} runs {command}", (str(name),))


def _of(text: str, read: Any, *names: str) -> Any:
    """Return a part of a document; None where it is not there or the document is none."""
    try:
        value = read(text)
    except (ValueError, RecursionError):
        return None
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
