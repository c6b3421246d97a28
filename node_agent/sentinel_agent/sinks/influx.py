"""InfluxDB's line protocol: a line a sample, labels as tags, one field `value`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from prometheus_client.core import Metric

_ESCAPED = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\=", "\n": r"\ "})


def headers(token_file: Path | None) -> Mapping[str, str]:
    """The token is read once; it is in a file, so that no process list shows it."""
    plain = {"Content-Type": "text/plain; charset=utf-8"}
    return plain | {"Authorization": f"Token {token_file.read_text().strip()}"} if token_file else plain


def lines(families: Iterable[Metric], node: str, at_ns: int) -> bytes:
    """Values that the protocol cannot carry (infinite, not a number) are left out."""
    found = []
    for family in families:
        for sample in family.samples:
            if math.isfinite(sample.value):
                # Sorted tags are what the server indexes fastest; an empty tag is a syntax error.
                tags = sorted((("node", node), *sample.labels.items()))
                labels = "".join(f",{_escaped(name)}={_escaped(value)}" for name, value in tags if value)
                found.append(f"{_escaped(sample.name)}{labels} value={float(sample.value)!r} {at_ns}")
    return "\n".join(found).encode()


def _escaped(text: str) -> str:
    return text.translate(_ESCAPED)
