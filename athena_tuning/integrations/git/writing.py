"""How items of a repository are named and cut."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from athena_tuning.recall.items import Item

LONGEST_PART = 4_000
"""Characters of one item; a longer text is cut where a paragraph ends."""

_LONGEST_ID = 512


@dataclass(slots=True)
class FileWriter:
    """Collects the items of one file.

    Attributes:
        scope: the repository's name.
        path: of the file.
        timestamp: when the file was last changed, if that is known.
        items: what was collected.
    """

    scope: str
    path: str
    timestamp: float | None
    items: list[Item] = field(default_factory=list)

    def add(
        self,
        layer: str,
        kind: str,
        text: str,
        entities: tuple[str, ...] = (),
        edges: tuple[tuple[str, str, str], ...] = (),
    ) -> None:
        """Take an item; a long text becomes several."""
        entities = tuple(_storable(name) for name in entities)
        edges = tuple((_storable(source), relation, _storable(target)) for source, relation, target in edges)
        for part in parts(_storable(text)):
            number = sum(item.kind == kind for item in self.items) + 1
            self.items.append(
                Item(
                    item_id(self.scope, kind, self.path, str(number)),
                    layer,
                    part,
                    self.scope,
                    self.timestamp,
                    kind,
                    entities=(self.path, *entities),
                    edges=edges,
                )
            )


def item_id(scope: str, kind: str, *names: str) -> str:
    """Return an id that is the same each time; where the names are too long, with a digest in their place.

    Examples:
        >>> item_id("shop", "doc", "README.md", "1")
        'git:shop:doc:README.md:1'
    """
    whole = ":".join(("git", scope, kind, *names))
    if len(whole) <= _LONGEST_ID:
        return whole
    return f"git:{scope[:200]}:{kind}:{hashlib.sha256(whole.encode()).hexdigest()}"


def parts(text: str, longest: int = LONGEST_PART) -> Iterator[str]:
    r"""Give a text in pieces that end with a paragraph, or a line, or anywhere if there is none.

    Examples:
        >>> list(parts("one two\n\nthree\nfour", 13))
        ['one two', 'three\nfour']
    """
    rest = text.strip()
    while len(rest) > longest:
        cut = next((at for end in ("\n\n", "\n", " ") if (at := rest.rfind(end, 1, longest)) > 0), longest)
        yield rest[:cut].rstrip()
        rest = rest[cut:].strip()
    if rest:
        yield rest


def _storable(text: str) -> str:
    """Return a text without what UTF-8 cannot hold: halves of characters, which string literals may have."""
    return text.encode("utf-8", "replace").decode()


def plain(lines: str) -> str:
    """Return a comment's text without the marks at the beginning of its lines."""
    return re.sub(r"(?m)^[ \t]*(?:/\*\*?|\*/|\*|///?!?|//!|#+)?[ \t]?", "", lines.replace("*/", "")).strip()
