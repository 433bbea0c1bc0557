"""README and docs are kept true: their Python runs, their runs load, their links lead somewhere."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]
FENCE = re.compile(r"^(?P<fence>`{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
# Put together here, so that this file does not find itself.
FORBIDDEN = ("/wo" + "rk/", "TO" + "DO", "FIX" + "ME")
TEXTS = ("*.md", "*.py", "*.toml", "*.yaml", "*.cff", "*.txt", "*.html", "*.css", "*.js")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. ``info`` is what follows the fence: ``python``, ``python no-run``, ``yaml run``."""

    page: Path
    line: int
    info: tuple[str, ...]
    text: str


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for match in FENCE.finditer(text):
        yield Block(page, text.count("\n", 0, match.start("text")), tuple(match["info"].split()), match["text"])


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    prose = FENCE.sub("", page.read_text("utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", prose, re.MULTILINE)}


def marked(*info: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.info == info]


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.info == ("python",) for b in blocks(p))], ids=name_of)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "docs"}
    for block in blocks(page):
        if block.info == ("python",):
            padded = "\n" * block.line + block.text  # tracebacks then show the page's own lines
            exec(compile(padded, str(page), "exec"), namespace)


@pytest.mark.parametrize("block", marked("yaml", "run"), ids=lambda block: f"{name_of(block.page)}:{block.line}")
def test_the_runs_of_a_page_load(block: Block, tmp_path: Path):
    from tutelage.run import load_run

    path = tmp_path / "run.yaml"
    path.write_text(block.text, "utf-8")
    assert load_run(path).phases


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_somewhere(page: Path):
    broken: list[str] = []
    for match in LINK.finditer(FENCE.sub("", page.read_text("utf-8"))):
        target, _, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        place = (page.parent / target) if target else page
        if not place.exists() or (anchor and place.suffix == ".md" and anchor not in anchors(place)):
            broken.append(match["target"])
    assert broken == []


def test_no_forbidden_word_stands_anywhere():
    folders = (ROOT / name for name in ("src", "tests", "docs", "benchmarks", ".ci"))
    files = [path for folder in folders for pattern in TEXTS for path in folder.rglob(pattern)]
    files += [path for pattern in TEXTS for path in ROOT.glob(pattern)]
    files += [ROOT / "Makefile", ROOT / ".ci" / "run"]
    assert len(files) > 20
    found = [
        f"{name_of(path)}: {word}"
        for path in files
        for word in FORBIDDEN
        if ".egg-info" not in str(path) and word in path.read_text("utf-8")
    ]
    assert found == []


def test_a_block_is_found_with_its_line_and_its_mark(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A\n\n```python no-run\nx\n```\n\n````python\n```\ny\n````\n")
    assert [(b.info, b.line, b.text) for b in blocks(page)] == [
        (("python", "no-run"), 3, "x\n"),
        (("python",), 7, "```\ny\n"),
    ]
    assert anchors(page) == {"a"}
