"""Lets mkdocs.yml name a folder in its nav: all pages of it, by name, so that a new benchmark needs no line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    docs = Path(config.docs_dir)
    for section in config.nav or ():
        for name, held in section.items():
            if isinstance(held, str) and (docs / held).is_dir():
                section[name] = [f"{held}/{page.name}" for page in sorted((docs / held).glob("*.md"))]
    return config
