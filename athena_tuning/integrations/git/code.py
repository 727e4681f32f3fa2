"""Source code: what it says of itself is known, what it imports hangs together."""

from __future__ import annotations

import ast
import posixpath
import re
import sys
import warnings
from collections.abc import Collection, Iterator

from athena_tuning.integrations.git.writing import FileWriter, plain

_BLOCK = re.compile(r"/\*\*(?!/)(.*?)\*/\s*\n((?:[ \t]*@.*\n)*[^\n]*)", re.DOTALL)
_LINES = re.compile(r"((?:^[ \t]*//[/!].*\n)+)([^\n]*)", re.MULTILINE)
_GO = re.compile(r"((?:^//.*\n)+)((?:func|type|package|var|const)\b[^\n]*)", re.MULTILINE)

_C_LIKE = (".c", ".h", ".cc", ".cpp", ".hpp", ".cs", ".java", ".kt", ".scala", ".swift", ".php", ".dart")
_SCRIPTS = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".vue", ".svelte")

COMMENTS = {
    **dict.fromkeys((*_C_LIKE, *_SCRIPTS), (_BLOCK, _LINES)),
    ".rs": (_LINES, _BLOCK),
    ".go": (_GO, _BLOCK),
}
"""How comments that document something look, by a file's ending."""

_QUOTED = re.compile(
    r"""(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*|^\s*import\s+)['"]([^'"\n]+)['"]""", re.MULTILINE
)
_GO_BLOCK = re.compile(r'^import\s*(?:\(\s*(.*?)\)|(?:\w+\s+)?("[^"]+"))', re.DOTALL | re.MULTILINE)
_DOTTED = re.compile(r"^\s*(?:import|using|use)\s+(?:static\s+)?([\w.:\\]+)", re.MULTILINE)
_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"\n]+)[>"]', re.MULTILINE)

_MOST = 100
_LEAST_WORDS = 3


def is_code(path: str) -> bool:
    """Whether a path is source code that can be read here, by its ending."""
    return _suffix(path) in (".py", ".pyi", *COMMENTS)


def write(writer: FileWriter, text: str, paths: Collection[str]) -> None:
    """Add what the code says of itself, and what it imports.

    Args:
        writer: takes the items.
        text: the file.
        paths: all files of the repository: an import that is one of them is named by its path.
    """
    suffix = _suffix(writer.path)
    tree = _parsed(text) if suffix in (".py", ".pyi") else None
    if tree is not None:
        documented, imported = python_docstrings(tree), python_imports(tree, writer.path, paths)
    elif suffix in COMMENTS:
        documented, imported = comments(text, suffix), other_imports(text, suffix, writer.path, paths)
    else:
        return
    for name, words in documented:
        if len(words.split()) >= _LEAST_WORDS:
            writer.add("semantic", "docstring", f"{writer.path}: {name}\n\n{words}", (name.split("(")[0],))
    targets = sorted(set(imported) - {writer.path})[:_MOST]
    if targets:
        edges = tuple((writer.path, "imports", target) for target in targets)
        writer.add("graph", "imports", f"{writer.path} imports {', '.join(targets)}.", edges=edges)


def python_docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    r"""Give the names of what has a docstring in Python, with their arguments, and the docstring.

    Examples:
        >>> list(python_docstrings(ast.parse("def f(a, *b):\n    'Add them.'")))
        [('f(a, *b)', 'Add them.')]
    """
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        name, node = waiting.pop(0)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            if words := ast.get_docstring(node):
                yield name or "module", words
            for child in node.body:
                if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                    own = f"{name.split('(')[0]}.{child.name}" if name else child.name
                    given = "" if isinstance(child, ast.ClassDef) else f"({ast.unparse(child.args)})"
                    waiting.append((own + given, child))


def comments(text: str, suffix: str) -> Iterator[tuple[str, str]]:
    r"""Give the lines that follow a documenting comment, and the comment.

    Examples:
        >>> list(comments("/** Adds two numbers. */\nint add(int a, int b) {", ".c"))
        [('int add(int a, int b)', 'Adds two numbers.')]
    """
    for pattern in COMMENTS[suffix]:
        for match in pattern.finditer(text):
            following = match[2].strip().splitlines()
            named = following[-1].strip().rstrip("{ ;") if following else ""
            yield named[:200] or "file", plain(match[1])


def python_imports(tree: ast.Module, path: str, paths: Collection[str]) -> Iterator[str]:
    """Give what a Python file imports: paths within the repository, else the package's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _python_module(alias.name, paths)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                folder = path.split("/")[: -node.level]
                base = ".".join([*folder, *([base] if base else [])])
            for alias in node.names:
                inner = _python_path(f"{base}.{alias.name}", paths)
                if inner is not None:
                    yield inner
                elif not node.level or _python_path(base, paths) is not None:
                    yield from _python_module(base, paths)


def other_imports(text: str, suffix: str, path: str, paths: Collection[str]) -> Iterator[str]:
    """Give what a file in another language imports."""
    if suffix in _SCRIPTS:
        for match in _QUOTED.finditer(text):
            yield _near(match[1], path, paths) if match[1].startswith(".") else match[1]
    elif suffix == ".go":
        for block in _GO_BLOCK.finditer(text):
            yield from re.findall(r'"([^"\n]+)"', block[1] or block[2] or "")
    elif suffix in (".c", ".h", ".cc", ".cpp", ".hpp"):
        for match in _INCLUDE.finditer(text):
            yield _near(match[1], path, paths)
    else:
        for match in _DOTTED.finditer(text):
            yield match[1].rstrip(":.\\")


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # written for another Python, or not by a person


def _python_path(module: str, paths: Collection[str]) -> str | None:
    inside = module.replace(".", "/")
    candidates = (f"{root}{inside}{end}" for root in ("", "src/", "lib/") for end in (".py", "/__init__.py"))
    return next((candidate for candidate in candidates if candidate in paths), None)


def _python_module(module: str, paths: Collection[str]) -> Iterator[str]:
    match = _python_path(module, paths)
    package = module.split(".", maxsplit=1)[0]
    if match is not None:
        yield match
    elif package and package not in sys.stdlib_module_names:
        yield package


def _near(named: str, path: str, paths: Collection[str]) -> str:
    """Return the path that a relative name stands for, if there is such a file."""
    base = posixpath.normpath(posixpath.join(posixpath.dirname(path), named))
    stem = base.removesuffix(".js")
    ends = ("", *_SCRIPTS, "/index.js", "/index.ts")
    candidates = [f"{start}{end}" for start in (base, stem) for end in ends]
    return next((candidate for candidate in (*candidates, named) if candidate in paths), named)


def _suffix(path: str) -> str:
    return posixpath.splitext(path)[1].lower()
