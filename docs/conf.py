"""The documentation site: ``make docs`` copies the repository to a source folder and builds the site from there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import mmdet_shufflenetv2

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = 'ShuffleNet V2 for MMDetection'
author = 'The contributors of mmdet-shufflenetv2'
version = release = mmdet_shufflenetv2.__version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
root_doc = 'docs/index'
exclude_patterns = ['.github', 'tests']
html_theme = 'furo'
html_title = f'{project} {version}'
myst_heading_anchors = 4
suppress_warnings = ['myst.header', 'toc.not_included']  # the tables of benchmarks/guidelines have no titles
autodoc_member_order = 'bysource'
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'


def link_folders(app: Sphinx, name: str, source: list[str]) -> None:
    """Let a link to a folder lead to its README, as it does where the repository is browsed."""
    page = Path(app.srcdir) / name

    def to_readme(match: re.Match[str]) -> str:
        folder = page.parent / match[2]
        if not folder.is_dir():
            return match[0]
        return f'[{match[1]}]({match[2]}/README.md)' if (folder / 'README.md').exists() else match[1]

    source[0] = re.sub(r'\[([^\[\]]+)\]\(([\w./-]+)\)', to_readme, source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect('source-read', link_folders)
