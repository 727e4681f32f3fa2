"""``docs/files.md`` names every format and every doubt, and its example does what it says."""

from __future__ import annotations

import re
from pathlib import Path

from athena_tuning.interchange import Import, registry
from athena_tuning.interchange.registry import Registry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "files.md").read_text("utf-8")


def named(heading):
    """Return what the first column of the table below a heading names."""
    below = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = (line.split("|")[1] for line in below.splitlines() if line.startswith("|"))
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_page_names_every_format():
    assert named("Formats") == {recogniser.name for recogniser in registry().recognisers}


def test_the_page_names_every_doubt():
    files = (ROOT / "athena_tuning" / "interchange").rglob("*.py")
    said = {
        about for file in files for about in re.findall(r'Doubt\(\s*"([a-z0-9 -]+)"', file.read_text("utf-8"))
    }
    assert len(said) >= 8
    assert named("What is odd is asked") == said | {"unit"}


def test_the_example_of_a_format_reads_a_file(tmp_path):
    example = {}
    exec(PAGE.split("```python\n", 1)[1].split("```", 1)[0], example)
    path = tmp_path / "loans.csv"
    path.write_text("when,took_ms,shelf\n1790000000,12.5,poetry\n")
    opened = Import(path, formats=Registry((example["LIBRARY"], *registry().recognisers)))
    [loan] = opened.records()
    assert (opened.format, loan.query_type, loan.latency_ms) == ("library", "poetry", 12.5)
