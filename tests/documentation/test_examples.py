"""Every example of the README, the tutorials and the guides works: its tests pass, its commands show what they show."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_ipc import trial
from pytest_ipc.plugin.isolation_exec import move

from .examples import matches, read_page

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs"
PAGES = [PROJECT / "README.md", *sorted(DOCS.glob("tutorial/*.md")), *sorted(DOCS.glob("how-to/*.md"))]
WITH_EXAMPLES = [page for page in PAGES if read_page(page).tests or read_page(page).commands]


@pytest.fixture
def run(tmp_path):
    """Run a command of a reader in an empty directory: run(command) -> the exit status and the output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # one page edits its files

    def run(command: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stdout

    return run


@pytest.mark.parametrize(
    "path", [pytest.param(page, id=str(page.relative_to(PROJECT).with_suffix(""))) for page in WITH_EXAMPLES]
)
def test_examples_of_a_page_work(path, tmp_path, run):
    page = read_page(path)
    if any(name.endswith(".c") for name in page.files) and shutil.which("cc") is None:
        pytest.skip("no C compiler: there is no cc on the path")
    isolated = any("--ipc-isolate" in command.command for command in page.commands)
    if isolated and (refusal := trial(move)) is not None:
        pytest.skip(f"no IPC namespace can be made here: {refusal}")
    for name, text in page.files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if page.tests:
        status, output = run(f"pytest -q -W error -p no:cacheprovider {' '.join(page.tests)}")
        assert status == 0, output
    for command in page.commands:
        status, output = run(command.command)
        if command.output:
            assert matches(command.output, output) == "", f"$ {command.command}\n{output}"
        else:
            assert status == 0, f"$ {command.command}\n{output}"


def test_guides_without_an_example_are_few():
    """A guide without an example that runs is about other systems (containers, CI, virtual machines), or about time."""
    without = {page.stem for page in PAGES if page not in WITH_EXAMPLES}
    assert without <= WITHOUT_EXAMPLES


WITHOUT_EXAMPLES = {
    "bisect-a-kernel",
    "containers",
    "gitlab-and-jenkins",
    "measure-a-runtime",
    "runner-matrix",
    "verify-a-runtime",
}


@pytest.mark.parametrize(
    ("shown", "output", "missing"),
    [
        (["1 passed in …"], "x\n1 passed in 0.1s\n", ""),
        (["first", "…", "second"], "first\nother\nsecond\n", ""),
        (["second", "first"], "first\nsecond\n", "first"),
        (["2 passed"], "12 passed\n", "2 passed"),
        (["a + b (…)"], "a + b (c)\n", ""),
    ],
)
def test_output_is_compared_line_by_line(shown, output, missing):
    assert matches(shown, output) == missing


def test_blocks_become_files_and_commands(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "```python\n# ring.py\nX = 1\n```\n```python\nimport ring\n```\ntext\n```python\nY = ring.X\n```\n"
        "```c\n/* a.c */\nint x;\n```\n```console\n$ pytest test_other.py\n1 passed\n$ true\n```\n"
        "```shell\nrm -rf /\n```\n"
        "```python\n# test_other.py\nZ = 1\n```\n"
    )
    page = read_page(path)
    assert page.files == {
        "ring.py": "X = 1\n\n\n",
        "test_page.py": "import ring\n\n\nY = ring.X\n\n\n",
        "a.c": "int x;\n\n\n",
        "test_other.py": "Z = 1\n\n\n",
    }
    assert [(command.command, command.output) for command in page.commands] == [
        ("pytest test_other.py", ["1 passed"]),
        ("true", []),
    ]
    assert page.tests == ["test_page.py"]
