"""Sphinx builds the site from this directory: `tox -e docs`."""

from __future__ import annotations

import re
from types import FunctionType
from typing import Any

from sphinx.application import Sphinx

import pytest_ipc

project = "pytest-ipc"
copyright = "the authors of pytest-ipc"
author = "the authors of pytest-ipc"
release = version = pytest_ipc.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"pytest-ipc {release}"
html_copy_source = False
html_show_sourcelink = False

myst_heading_anchors = 3  # links to headings, as in page.md#heading
default_role = "code"  # `name` in docstrings

autodoc_default_options = {"members": True, "inherited-members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
nitpicky = True
# Types of signatures: those of the standard library, and those without a page of their own.
_NOT_PUBLIC = r"_\w+|[a-z]\w*|Value|Result|Owned|Closable|Record|ForkInside|Start|SetStatus"
nitpick_ignore_regex = [("py:.*", rf"(?!pytest_ipc\.).*|pytest_ipc\..*\.({_NOT_PUBLIC})")]

# Arguments that docstrings name with stars: *args and **kwargs, and *argv*[0].
_STARS = re.compile(r"(?<![\w*\\])(\*\*?)(args|kwargs)\b(?!\*)|(?<=\w\*)(?=\[)")


def escape_stars(*event: Any) -> None:
    """Let docutils take the stars of arguments as text, in the lines of a docstring, the event's last argument."""
    lines: list[str] = event[-1]
    lines[:] = [
        _STARS.sub(lambda found: "".join(f"\\{star}" for star in found[1] or "") + (found[2] or "\\ "), line)
        for line in lines
    ]


def setup(app: Sphinx) -> None:
    """Show public names as `pytest_ipc.NAME`, wherever they are defined."""
    for name in pytest_ipc.__all__:
        if isinstance(defined := getattr(pytest_ipc, name), (type, FunctionType)):
            defined.__module__ = "pytest_ipc"
    app.connect("autodoc-process-docstring", escape_stars)
