"""Every `sentinel …` that a page tells people to type is a command that exists, with options that it has."""

import re
import shlex
from pathlib import Path

import click
import pytest

from sentinel_cli.__main__ import sentinel

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "design")]
CALLED = re.compile(r"(?:sudo )?(?:\.venv/bin/|kubectl )?sentinel (?=[a-z])([^|<>&;#\n]*)")


def typed(page: Path) -> list[str]:
    """From blocks of shell, continued lines joined, and from code within sentences."""
    text = page.read_text()
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [found[1] for line in lines if (found := CALLED.match(line))]


FOUND = sorted({(str(page.relative_to(ROOT)), words) for page in PAGES for words in typed(page)})


def parsed(words: str) -> None:
    """By click's own parser; nothing runs, and no file that is named need be there."""
    command, left = sentinel, [word for word in shlex.split(words) if word != "…"]
    context = click.Context(command, info_name="sentinel")
    while isinstance(command, click.Group) and left:
        command = command.get_command(context, left.pop(0))
        assert command is not None, f"there is no `sentinel {words}`"
        context = click.Context(command, parent=context)
    command.make_parser(context).parse_args(left)


def test_pages_tell_of_many_commands():
    assert len({words.split()[0] for _, words in FOUND}) > 8


@pytest.mark.parametrize(("page", "words"), FOUND)
def test_what_a_page_says_to_type_exists(page, words):
    parsed(words)


@pytest.mark.parametrize("words", ["tops", "top --everything", "model trains"])
def test_what_does_not_exist_is_found(words):
    with pytest.raises((AssertionError, click.UsageError)):
        parsed(words)
