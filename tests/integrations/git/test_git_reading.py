"""What files say, language by language: documents, code, procedures, plans; and any text does no harm."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from athena_tuning.integrations.git import code, documents, plans, procedures
from athena_tuning.integrations.git.writing import LONGEST_PART, FileWriter, item_id, parts

TEXTS = st.text(st.characters(codec="utf-8"), max_size=400) | st.lists(
    st.sampled_from(
        [
            "# A",
            "## B",
            "===",
            "---",
            "```",
            "- [ ] box",
            "1. step",
            "TODO: x",
            "\tcmd",
            "a: b",
            "/** d */",
            "",
            "x",
        ]
    )
).map("\n".join)


def written(path: str, text: str, *paths: str) -> list[tuple[str, str, str]]:
    writer = FileWriter("shop", path, 1.0)
    if documents.is_document(path):
        documents.write(writer, text)
    elif code.is_code(path):
        code.write(writer, text, {path, *paths})
    if procedures.is_procedure(path, text):
        procedures.write(writer, text)
    plans.write(writer, text, prose=documents.is_document(path))
    return [(item.layer, item.kind, item.text) for item in writer.items]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("guide.md", "# Guide\n\nWords.\n\n## Deploy\n\nPush it.\n\n```\n# no heading\n```\n"),
        ("guide.rst", "Guide\n=====\n\nWords.\n\nDeploy\n------\n\nPush it.\n\n    # no heading\n"),
        ("guide.adoc", "= Guide\n\nWords.\n\n== Deploy\n\nPush it.\n"),
        ("guide.org", "* Guide\nWords.\n** Deploy\nPush it.\n"),
        ("guide.md", "Guide\n=====\nWords.\n\nDeploy\n------\nPush it.\n"),
    ],
)
def test_headings_of_each_markup_part_a_document(path: str, text: str) -> None:
    items = written(path, text)
    assert items[0] == ("semantic", "doc", f"{path} › Guide\n\nWords.")
    layer, kind, told = items[1]
    assert (layer, kind) == ("procedural", "how-to")
    assert told.startswith(f"{path} › Guide › Deploy\n\nPush it.")
    assert len(items) == 2


@pytest.mark.parametrize("path", ["CHANGELOG.md", "changes.rst", "notes.adoc", "NEWS"])
def test_a_star_begins_a_bullet_of_the_section_above_it(path: str) -> None:
    mark = "=" if path.endswith(".adoc") else "#"
    text = f"{mark} Changes\n\n{mark * 2} 1.2\n\n* Fixed the till.\n* Faster shelves.\n\n** not here\n"
    if path.endswith(".rst"):
        text = "Changes\n=======\n\n1.2\n---\n\n* Fixed the till.\n* Faster shelves.\n"
    (items,) = written(path, text)
    title, _, body = items[2].partition("\n\n")
    assert title == f"{path} › Changes › 1.2"
    assert body.startswith("* Fixed the till.\n* Faster shelves.")


def test_a_section_with_steps_or_commands_tells_how() -> None:
    steps = written("a.md", "# Soup\n\n1. Boil.\n2. Stir.\n3. Eat.\n")
    commands = written("a.md", "# Soup\n\n```sh\nmake soup\n```\n")
    facts = written("a.md", "# Soup\n\nIt is hot.\n\n```python\nsoup()\n```\n")
    assert [items[0][1] for items in (steps, commands, facts)] == ["how-to", "how-to", "doc"]


def test_rules_and_tables_are_no_headings() -> None:
    text = "# A\n\nWords.\n\n---\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- item\n---\n"
    assert [items[2].split("\n")[0] for items in written("a.md", text)] == ["a.md › A"]


def test_licences_and_lists_of_packages_are_no_documentation() -> None:
    for path in ("LICENSE", "LICENCE.md", "requirements-dev.txt", "constraints.txt", "CMakeLists.txt"):
        assert not documents.is_document(path)


def test_python_is_read_by_its_syntax() -> None:
    text = '''"""What the shop sells."""
from . import stock
from .till import Till as T
from shop.prices import of
import numpy as np, json

class Shelf:
    """Holds what is for sale."""
    async def take(self, name, *, n=1):
        """Take something down from it."""
    def _quiet(self): pass
'''
    items = written(
        "shop/sales.py", text, "shop/stock.py", "shop/till.py", "shop/prices/__init__.py", "shop/__init__.py"
    )
    assert items == [
        ("semantic", "docstring", "shop/sales.py: module\n\nWhat the shop sells."),
        ("semantic", "docstring", "shop/sales.py: Shelf\n\nHolds what is for sale."),
        (
            "semantic",
            "docstring",
            "shop/sales.py: Shelf.take(self, name, *, n=1)\n\nTake something down from it.",
        ),
        (
            "graph",
            "imports",
            "shop/sales.py imports numpy, shop/prices/__init__.py, shop/stock.py, shop/till.py.",
        ),
    ]


@pytest.mark.parametrize(
    ("path", "text", "said", "imported"),
    [
        (
            "web/app.ts",
            'import { a } from "./util";\nimport "side";\nconst x = require("../lib/y.js");\n'
            "/**\n * Draws the whole page anew.\n * @param a what\n */\nexport function draw(a: number) {\n",
            "export function draw(a: number)\n\nDraws the whole page anew.",
            "../lib/y.js, side, web/util.ts",
        ),
        (
            "a/main.go",
            'package main\n\nimport (\n\t"fmt"\n\tx "example.org/y"\n)\n\n'
            "// Serve answers what is asked.\nfunc Serve(n int) {\n",
            "func Serve(n int)\n\nServe answers what is asked.",
            "example.org/y, fmt",
        ),
        (
            "lib.rs",
            "use std::fmt;\n/// Adds one to a number.\npub fn add(n: u8) -> u8 {\n",
            "pub fn add(n: u8) -> u8\n\nAdds one to a number.",
            "std::fmt",
        ),
        (
            "x.c",
            '#include <stdio.h>\n#include "y.h"\n/** Adds two whole numbers. */\nint add(int a, int b)\n{\n',
            "int add(int a, int b)\n\nAdds two whole numbers.",
            "stdio.h, y.h",
        ),
        (
            "A.java",
            "import java.util.List;\n/** Sells tea to people. */\npublic class A {\n",
            "public class A\n\nSells tea to people.",
            "java.util.List",
        ),
    ],
)
def test_other_languages_are_read_by_their_comments(path: str, text: str, said: str, imported: str) -> None:
    items = written(path, text, "web/util.ts")
    assert [told for _, kind, told in items if kind == "imports"] == [f"{path} imports {imported}."]
    [docs] = [told for _, kind, told in items if kind == "docstring"]
    assert docs.startswith(f"{path}: {said}")


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        (
            "Makefile",
            "X := 1\n.PHONY: all\nall: a ## Make all.\n\t@echo hi\n",
            "Makefile: make all\n\nMake all.\n@echo hi",
        ),
        (
            "justfile",
            "# Run it.\nserve port:\n    run {{port}}\n",
            "justfile: just serve port\n\nRun it.\nrun {{port}}",
        ),
        ("package.json", '{"scripts": {"build": "tsc -p ."}}', "package.json: npm run build runs tsc -p ."),
        (
            "pyproject.toml",
            '[project.scripts]\nshop = "shop.cli:main"\n',
            "pyproject.toml: shop runs shop.cli:main",
        ),
        (
            ".github/workflows/ci.yml",
            "on: push\n",
            "What runs on each change: .github/workflows/ci.yml\n\non: push",
        ),
        ("deploy.sh", "#!/bin/sh\nmake push\n", "Script: deploy.sh\n\n#!/bin/sh\nmake push"),
        ("bin/serve", "#!/usr/bin/env python\nrun()\n", "Script: bin/serve\n\n#!/usr/bin/env python\nrun()"),
        ("Dockerfile", "FROM debian\n", "Script: Dockerfile\n\nFROM debian"),
    ],
)
def test_procedures_of_each_kind_are_told(path: str, text: str, told: str) -> None:
    assert [(layer, text) for layer, _, text in written(path, text)] == [("procedural", told)]


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("a.py", "x = 1  # TODO: name it\n", "TODO in a.py, line 1: name it"),
        (
            "a.py",
            "# FIXME(bo) it leaks\n# when it rains\nx = 1\n",
            "FIXME in a.py, line 1 (bo): it leaks when it rains",
        ),
        ("a.js", "/* HACK: for old browsers */\n", "HACK in a.js, line 1: for old browsers"),
        ("a.sql", "-- TODO add an index\n", "TODO in a.sql, line 1: add an index"),
        ("a.html", "<!-- TODO: say more -->\n", "TODO in a.html, line 1: say more"),
        ("a.md", "- TODO: say more\n", "TODO in a.md, line 1: say more"),
    ],
)
def test_what_is_left_to_do_is_told(path: str, text: str, told: str) -> None:
    assert [text for layer, _, text in written(path, text) if layer == "prospective"] == [told]


@pytest.mark.parametrize(
    "text",
    ['x = "# TODO: in a string"', "TODO = 3", "# the TODOs of others", "# TODO", "todo: lower", "xTODO: y"],
)
def test_what_only_looks_like_it_is_none(text: str) -> None:
    assert written("a.py", text) == []


@settings(max_examples=150, deadline=None)
@given(
    TEXTS,
    st.sampled_from(["a.md", "a.rst", "a.py", "a.ts", "a.go", "Makefile", "package.json", "x.sh", "a.toml"]),
)
def test_any_text_is_read_without_harm(text: str, path: str) -> None:
    for _, _, told in written(path, text):
        assert 0 < len(told.strip()) <= LONGEST_PART


@settings(deadline=None)
@given(st.text(max_size=300), st.integers(10, 60))
def test_parts_hold_everything_but_space_and_none_is_too_long(text: str, longest: int) -> None:
    items = list(parts(text, longest))
    assert all(0 < len(part) <= longest for part in items)
    assert "".join("".join(items).split()) == "".join(text.split())


def test_an_id_is_never_too_long_and_its_own() -> None:
    ids = {item_id("s" * 200, "doc", "p" * n, "1") for n in range(250, 900)}
    assert len(ids) == 650
    assert max(map(len, ids)) <= 512
