"""A repository becomes a memory, later runs bring it up to date, and what cannot be read is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from athena_tuning.cli import main
from athena_tuning.integrations.git.ingest import ingest_git
from athena_tuning.integrations.git.repository import GitError, Repository
from athena_tuning.recall import MemoryManager

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

README = """# Shop

The shop sells tea to whoever asks for it.

## How to deploy

1. Build the image.
2. Push it.
3. Tell Ana.

## Plans

- [ ] Sell coffee too
- [x] Sell tea
"""
CODE = '''"""Counts what is sold."""

import numpy

from shop import stock


def sell(name: str, n: int = 1) -> None:
    """Take something off the shelf and write it down."""
    stock.take(name, n)  # TODO(ana): refuse what is not there
'''
MAKEFILE = "# Runs every test of the shop.\ntest: ready\n\tpytest -q\n"


class Repo:
    """A real repository that a test writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = 1_790_000_000
        path.mkdir(exist_ok=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *args: str) -> str:
        moment = f"{self.at} +0000"
        who = {"NAME": "Ana", "EMAIL": "ana@example.org", "DATE": moment}
        told = {
            f"GIT_{role}_{name}": value for role in ("AUTHOR", "COMMITTER") for name, value in who.items()
        }
        env = {**os.environ, **told, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        command = ["git", "-C", str(self.path), "-c", "protocol.file.allow=always", *args]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout

    def commit(self, message: str, **files: str | bytes | None) -> None:
        for name, content in files.items():
            path = self.path / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.at += 3600
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", message)


@pytest.fixture
def repo(tmp_path):
    made = Repo(tmp_path / "shop")
    made.commit(
        "Open the shop",
        **{"README.md": README, "shop/sales.py": CODE, "shop/stock.py": "A = 1\n", "Makefile": MAKEFILE},
    )
    return made


@pytest.fixture
def manager():
    with MemoryManager(":memory:") as made:
        yield made


def items(manager, layer=None):
    rows = manager.memory.file.read("SELECT layer, kind, text FROM item WHERE scope = 'shop' ORDER BY row")
    return [(kind, text) for answer, kind, text in rows if layer in (None, answer)]


def everything(manager):
    return set(manager.memory.file.read("SELECT id, layer, text, timestamp, speaker, detail FROM item"))


def test_each_layer_holds_what_belongs_there(repo, manager):
    report = ingest_git(manager, repo.path)
    assert (report.scope, report.commits, report.files, report.notes) == ("shop", 1, 4, ())
    [(kind, text)] = items(manager, "episodic")
    assert (kind, text) == (
        "commit",
        "Open the shop\n\nTouched Makefile, README.md, shop/sales.py, shop/stock.py.",
    )
    assert items(manager, "semantic") == [
        ("doc", "README.md › Shop\n\nThe shop sells tea to whoever asks for it."),
        ("doc", "README.md › Shop › Plans\n\n- [ ] Sell coffee too\n- [x] Sell tea"),
        ("docstring", "shop/sales.py: module\n\nCounts what is sold."),
        (
            "docstring",
            "shop/sales.py: sell(name: str, n: int=1)\n\nTake something off the shelf and write it down.",
        ),
    ]
    assert items(manager, "procedural") == [
        ("target", "Makefile: make test\n\nRuns every test of the shop.\npytest -q"),
        (
            "how-to",
            "README.md › Shop › How to deploy\n\n1. Build the image.\n2. Push it.\n3. Tell Ana.",
        ),
    ]
    assert items(manager, "prospective") == [
        ("open box", "To do, from README.md › Shop › Plans: Sell coffee too"),
        ("todo", "TODO in shop/sales.py, line 10 (ana): refuse what is not there"),
    ]
    assert items(manager, "graph") == [("imports", "shop/sales.py imports numpy, shop/stock.py.")]
    assert sum(report.by_layer.values()) == report.remembered == len(items(manager))


def test_recalls_answer_from_it(repo, manager):
    ingest_git(manager, repo.path)
    answer = manager.recall("how do I deploy the shop?", scope="shop")
    assert "Push it" in answer["procedural"][0]["text"]
    opened = manager.recall("when did the shop open?", scope="shop")["episodic"][0]
    assert (opened["speaker"], opened["timestamp"]) == ("Ana", 1_790_003_600.0)
    assert manager.recall("shop", scope="another")["_fused"] == []


def test_a_second_run_takes_nothing_and_the_next_only_what_is_new(repo, manager):
    ingest_git(manager, repo.path)
    before = everything(manager)
    again = ingest_git(manager, repo.path)
    assert (again.commits, again.files, again.remembered, again.forgotten) == (0, 0, 0, 0)
    assert everything(manager) == before
    repo.commit("Sell coffee", **{"README.md": README.replace("tea to", "tea and coffee to")})
    told = []
    new = ingest_git(manager, repo.path, progress=lambda *p: told.append(p))
    assert (new.commits, new.files) == (1, 1)
    assert told == [("commits", 1, 1), ("files", 1, 1), ("files", 1, 1)]
    assert ("doc", "README.md › Shop\n\nThe shop sells tea and coffee to whoever asks for it.") in items(
        manager
    )
    assert not [text for _, text in items(manager) if "sells tea to" in text]


def test_runs_bit_by_bit_give_what_one_run_gives(repo, manager):
    def change(n):
        files = {
            "README.md": README + f"\n## Part {n}\n\nAbout {n}.\n",
            "shop/stock.py": f'"""Stock {n} of it."""\n',
        }
        repo.commit(f"Change {n}", **files)

    for n in range(4):
        ingest_git(manager, repo.path)
        change(n)
    repo.commit("Close the sales", **{"shop/sales.py": None})
    ingest_git(manager, repo.path)
    with MemoryManager(":memory:") as fresh:
        ingest_git(fresh, repo.path)
        assert everything(fresh) == everything(manager)


def test_removed_files_are_forgotten(repo, manager):
    ingest_git(manager, repo.path)
    repo.commit("Close the sales", **{"shop/sales.py": None})
    report = ingest_git(manager, repo.path)
    assert (report.removed, report.forgotten) == (1, 4)
    assert not [text for kind, text in items(manager) if "sales.py" in text and kind != "commit"]


def test_files_that_change_together_are_related_until_one_is_gone(repo, manager):
    for n in range(2):
        repo.commit(f"Tune {n}", **{"shop/sales.py": CODE + f"# {n}\n", "shop/stock.py": f"A = {n + 2}\n"})
    ingest_git(manager, repo.path)
    together = [text for kind, text in items(manager, "graph") if kind == "together"]
    assert together == [
        "shop/sales.py and shop/stock.py change together: 3 commits touched both, "
        "of 3 that touched the one changed more seldom."
    ]
    repo.commit("Close the stock", **{"shop/stock.py": None})
    ingest_git(manager, repo.path)
    assert [kind for kind, _ in items(manager, "graph")] == ["imports"]


def test_a_rewritten_history_is_read_anew(repo, manager):
    repo.commit("A mistake", **{"secret.md": "# Secret\n\nThe key is under the mat.\n"})
    ingest_git(manager, repo.path)
    repo.git("reset", "-q", "--hard", "HEAD~1")
    repo.commit("Something else", **{"other.md": "# Other\n\nA fact of another kind.\n"})
    report = ingest_git(manager, repo.path)
    assert report.notes == ("the history is not the one read before: all of it was read anew",)
    with MemoryManager(":memory:") as fresh:
        ingest_git(fresh, repo.path)
        assert everything(fresh) == everything(manager)


def test_an_interrupted_run_is_made_up_for(repo, manager):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest_git(manager, repo.path, progress=stop)
    ingest_git(manager, repo.path)
    with MemoryManager(":memory:") as fresh:
        ingest_git(fresh, repo.path)
        assert everything(fresh) == everything(manager)


def test_a_bare_and_a_shallow_clone_are_read_and_the_lack_is_told(repo, manager, tmp_path):
    repo.commit("Second")
    repo.git("clone", "-q", "--bare", str(repo.path), str(tmp_path / "bare" / "shop.git"))
    assert Repository(tmp_path / "bare" / "shop.git").name == "shop"
    assert ingest_git(manager, tmp_path / "bare" / "shop.git").commits == 2
    shallow = tmp_path / "shallow" / "shop"
    repo.git("clone", "-q", "--depth", "1", f"file://{repo.path}", str(shallow))
    with MemoryManager(":memory:") as other:
        report = ingest_git(other, shallow)
        assert report.commits == 1
        assert "shallow" in report.notes[0]
        repo.git("-C", str(shallow), "fetch", "-q", "--unshallow")
        assert ingest_git(other, shallow).commits == 2
        assert everything(other) == everything(manager)


def test_a_folder_within_stands_for_the_whole(repo, manager):
    assert ingest_git(manager, repo.path / "shop").files == 4


def test_strange_names_texts_and_contents_are_taken_as_they_are(repo, manager):
    hostile = {
        "päth with \n newline.md": "# Ünï\n\nbody \x00 is binary\n",
        "-rf.md": "# Dash\n\nA name like an option's.\n",
        "broken.py": "def f(:\n    # FIXME: it does not parse\n",
        "half.py": 'def f():\n    "Half of a character: \\ud800, and on."\n',
        "latin.md": "# Caf\xe9\n\nOld words here.\n".encode("latin-1"),
        "image.png": b"\x89PNG\x00\x01",
        "long.md": "# Long\n\n" + "word " * 3000,
        "empty.md": "",
        "package.json": '{"scripts": {"build": "tsc"}, "x": [',
        "f" * 200 + "/" + "g" * 200 + "/" + "h" * 200 + ".md": "# Deep\n\nFar down.\n",
    }
    repo.commit("", **hostile)
    report = ingest_git(manager, repo.path)
    texts = [text for _, text in items(manager)]
    assert ("commit", "A commit without a message") in [(k, t.split("\n")[0]) for k, t in items(manager)]
    assert any("A name like an option's." in text for text in texts)
    assert any("it does not parse" in text for text in texts)
    assert any("Half of a character: ?" in text for text in texts)
    assert any("Far down." in text for text in texts)
    assert sum("word word" in text for text in texts) == 4
    assert report.files == 4 + len(hostile) - 2
    assert ingest_git(manager, repo.path).files == 0


def test_a_repositorys_own_settings_neither_run_programs_nor_change_what_is_read(repo, manager, tmp_path):
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path / 'sprung'}\n")
    trap.chmod(0o755)
    ingest_git(manager, repo.path)
    for setting in (
        *(f"{name} {trap}" for name in ("core.fsmonitor", "core.pager", "diff.external", "gpg.program")),
        *("log.showRoot false", "log.showSignature true", "log.follow true", "diff.relative true"),
        *("core.quotePath true", "color.ui always", "log.decorate full", "diff.renames copies"),
    ):
        repo.git("config", *setting.split())
    (repo.path / ".gitattributes").write_text("*.md diff=trap\n")
    repo.git("config", "diff.trap.textconv", str(trap))
    with MemoryManager(":memory:") as other:
        ingest_git(other, repo.path)
        assert everything(other) == everything(manager)
    assert not (tmp_path / "sprung").exists()


def test_links_and_what_others_wrote_are_left_out(repo, manager):
    os.symlink("README.md", repo.path / "LINK.md")
    repo.commit(
        "Vendor", **{"node_modules/x/README.md": "# Not ours\n\nwords\n", "a.min.js": "// TODO: x y z\n"}
    )
    ingest_git(manager, repo.path)
    assert not [t for kind, t in items(manager) if kind != "commit" and ("Not ours" in t or "LINK" in t)]


def test_two_repositories_of_one_name_are_not_mixed(repo, manager, tmp_path):
    ingest_git(manager, repo.path)
    (tmp_path / "other").mkdir()
    other = Repo(tmp_path / "other" / "shop")
    other.commit("Another shop", **{"README.md": "# Another\n\nIt sells cake.\n"})
    with pytest.raises(GitError, match=r"'shop' is the name of the repository at .*--scope"):
        ingest_git(manager, other.path)
    assert ingest_git(manager, other.path, "cakes").scope == "cakes"
    moved = repo.path.rename(tmp_path / "moved")
    assert ingest_git(manager, moved, "shop").commits == 0


def test_two_runs_at_once_do_not_count_twice(repo, manager):
    ran = []

    def meanwhile(*_):
        if not ran:
            ran.append(True)
            ingest_git(manager, repo.path)

    with pytest.raises(GitError, match="at the same time"):
        ingest_git(manager, repo.path, progress=meanwhile)
    assert ingest_git(manager, repo.path).remembered == 0


def test_what_cannot_be_read_is_named(tmp_path, monkeypatch, manager):
    with pytest.raises(GitError, match="is not a folder"):
        ingest_git(manager, tmp_path / "nowhere")
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(GitError, match="plain is not in a git repository"):
        ingest_git(manager, tmp_path / "plain")
    empty = Repo(tmp_path / "empty")
    with pytest.raises(GitError, match="has no commit yet"):
        ingest_git(manager, empty.path)
    empty.commit("One")
    with pytest.raises(GitError, match="a scope has 1 to 200 characters"):
        ingest_git(manager, empty.path, " ")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not installed"):
        ingest_git(manager, tmp_path)


def test_the_command_tells_what_it_did_and_fails_in_one_line(repo, tmp_path, monkeypatch):
    monkeypatch.setenv("ATHENA_TUNING_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(main, ["ingest-git", str(repo.path), "--json"])
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["scope"], told["commits"], told["files"]) == ("shop", 1, 4)
    said = CliRunner().invoke(main, ["ingest-git", str(repo.path)])
    assert "shop: 0 commits and 0 files read" in said.stdout
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    bad = CliRunner().invoke(main, ["ingest-git", str(tmp_path)])
    assert bad.exit_code == 1
    assert "not in a git repository" in bad.stderr
    assert "Traceback" not in bad.stderr
