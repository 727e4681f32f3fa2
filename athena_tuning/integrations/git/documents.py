"""Documentation: sections are facts, those that tell how to do something are procedures, boxes are plans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from athena_tuning.integrations.git.writing import FileWriter

SUFFIXES = (".md", ".markdown", ".mdx", ".rst", ".adoc", ".org", ".txt")
NAMES = ("readme", "install", "contributing", "changelog", "news", "authors", "history", "security")

_HEADING = re.compile(r"^(#{1,6}|={1,6})\s+(\S.*?)\s*#*$")
_ORG_HEADING = re.compile(r"^(\*{1,6})\s+(\S.*?)\s*$")
_UNDERLINE = re.compile(r"^([=\-~^\"'`*+#])\1{2,}\s*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_HOW_TO = re.compile(
    r"\b(how[ -]?to|install\w*|set[ -]?up|getting started|quick ?start|start|usage|using|run|running|build"
    r"|building|deploy\w*|releas(?:e|es|ing)|develop(?:ing|ment)|contribut\w+|configur\w+|upgrad\w+|migrat\w+"
    r"|troubleshoot\w*|debugging|steps|workflow|procedures?|tutorial|recipes?|command line)\b",
    re.IGNORECASE,
)
_STEPS = re.compile(r"(?m)^\s{0,3}\d+[.)]\s+\S")
_COMMANDS = re.compile(r"(?m)^\s*(?:```|~~~|\.\. code(?:-block)?::)\s*(?:sh|bash|console|shell|zsh)\b")
_OPEN_BOX = re.compile(r"^\s*[-*+]\s+\[ \]\s+(\S.*)$")


@dataclass(slots=True)
class Section:
    """A part of a document: the headings above it, from the outermost, and its lines."""

    headings: tuple[str, ...]
    lines: list[str]


def is_document(path: str) -> bool:
    """Whether a path is documentation, by its name.

    Examples:
        >>> is_document("docs/Guide.md"), is_document("README"), is_document("requirements.txt")
        (True, True, False)
    """
    name = path.rsplit("/", 1)[-1].lower()
    if re.match(r"(requirements|constraints)[\w.-]*\.txt$|cmakelists\.txt$|licen[cs]e", name):
        return False
    return name.endswith(SUFFIXES) or name in NAMES


def write(writer: FileWriter, text: str) -> None:
    """Add the sections of a document, and what its open boxes say."""
    for section in sections(text, _ORG_HEADING if writer.path.endswith(".org") else _HEADING):
        title = " › ".join((writer.path, *section.headings))
        body = "\n".join(section.lines).strip()
        if body:
            layer, kind = ("procedural", "how-to") if _tells_how(section, body) else ("semantic", "doc")
            writer.add(layer, kind, f"{title}\n\n{body}", section.headings[-1:])
        for line in section.lines:
            if box := _OPEN_BOX.match(line):
                writer.add("prospective", "open box", f"To do, from {title}: {box[1]}")


def sections(text: str, headings: re.Pattern[str] = _HEADING) -> Iterator[Section]:
    r"""Give a document's parts from one heading to the next: Markdown, reStructuredText, AsciiDoc, Org.

    Args:
        text: the document.
        headings: finds a heading that a mark begins; a star begins one in Org, and elsewhere a bullet.

    Examples:
        >>> [(s.headings, s.lines) for s in sections("# A\nb\n## C\nd")]
        [((), []), (('A',), ['b']), (('A', 'C'), ['d'])]
    """
    above: list[tuple[int, str]] = []
    marks: list[str] = []  # of underlined headings, in the order of their depth
    current = Section((), [])
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        depth = title = None
        if not fenced:
            if heading := headings.match(line[:500]):
                depth, title = len(heading[1]), heading[2]
            elif (rule := _UNDERLINE.match(line)) and _may_be_title(current.lines, line):
                if rule[1] not in marks:
                    marks.append(rule[1])
                depth, title = marks.index(rule[1]) + 1, current.lines.pop().strip()
        if depth is None or title is None:
            current.lines.append(line)
            continue
        yield current
        above = [(deep, name) for deep, name in above if deep < depth]
        above.append((depth, title))
        current = Section(tuple(name for _, name in above), [])
    yield current


def _may_be_title(lines: list[str], rule: str) -> bool:
    """Whether the last line is one that a rule of this length underlines."""
    if not lines or not lines[-1].strip() or lines[-1].startswith((" ", "\t", "|", "-", ">")):
        return False
    return len(rule.strip()) + 2 >= len(lines[-1].strip())


def _tells_how(section: Section, body: str) -> bool:
    named = bool(section.headings) and _HOW_TO.search(section.headings[-1]) is not None
    return named or len(_STEPS.findall(body)) >= 3 or _COMMANDS.search(body) is not None
