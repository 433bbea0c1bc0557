"""The project's own promises: exact pins, one version, layers that break when they are violated."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tutelage
from tutelage.config import load_yaml

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text("utf-8").splitlines() if line and line[0] not in "#-"]
    return {line.partition("==")[0]: line.partition("==")[2] for line in lines}


def test_every_pin_is_exact_and_public():
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins(name).values())
    assert pins("requirements.txt")["torch"] == "2.13.0"


def test_every_dependency_is_pinned():
    project = PROJECT["project"]
    for wanted, name in (
        (project["dependencies"], "requirements.txt"),
        (project["optional-dependencies"]["dev"], "requirements-dev.txt"),
        (PROJECT["build-system"]["requires"], "requirements.txt"),
    ):
        names = {re.match(r"[\w-]+", line)[0] for line in wanted}  # pyright: ignore[reportOptionalSubscript]
        assert names <= set(pins(name))


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    declared = {re.match(r"[\w-]+", line)[0] for line in PROJECT["project"]["dependencies"]}  # pyright: ignore[reportOptionalSubscript]
    extras = PROJECT["project"]["optional-dependencies"]
    optional = {*extras["track"], *(re.split(r"[\[>]", line)[0] for line in extras["math"]), "tutelage"}
    imported: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                imported.add(node.module.partition(".")[0])
    names = {"yaml": "pyyaml"}
    found = {names.get(name, name.replace("_", "-")) for name in imported - sys.stdlib_module_names}
    assert found - optional == declared


def test_the_version_is_the_same_everywhere():
    citation = load_yaml(ROOT / "CITATION.cff")
    assert isinstance(citation, dict)
    assert tutelage.__version__ == PROJECT["project"]["version"] == citation["version"]
    assert f"] {tutelage.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("types.py", "from tutelage import config\n", "tutelage.types is not allowed to import tutelage.config"),
        ("config/extra.py", "from tutelage import types as _, protocols, metrics\n", "tutelage.metrics"),
        ("newcomer.py", "", "newcomer"),
    ],
)
def test_an_arrow_the_wrong_way_breaks_the_contract(tmp_path: Path, file: str, line: str, complaint: str):
    shutil.copytree(ROOT / "src" / "tutelage", tmp_path / "src" / "tutelage")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "src" / "tutelage" / file).open("a") as out:
        out.write(line)
    result = lint(tmp_path)
    assert result.returncode != 0
    assert complaint in result.stdout
