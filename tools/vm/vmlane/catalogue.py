"""Which kernels and which tests there are, so that a wrong name is answered with the right ones."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LONG = "long"  # the folder below the tests
ALL = "all"


class LaneError(Exception):
    """One sentence that tells the user what to do."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """One row of kernels.toml."""

    name: str
    suite: str
    package: str
    mirror: str
    keyring: str
    features: tuple[str, ...]


def kernels(catalogue: Path) -> dict[str, Kernel]:
    """Every kernel of the list, by name, in the list's order."""
    try:
        rows = tomllib.loads(catalogue.read_text())
        return {
            name: Kernel(name, row["suite"], row["package"], rows["mirror"], rows["keyring"], tuple(row["features"]))
            for name, row in rows["kernel"].items()
        }
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise LaneError(f"{catalogue} is no list of kernels ({error!r}); restore it from git.") from error


def chosen_kernels(known: dict[str, Kernel], name: str) -> tuple[Kernel, ...]:
    """The kernel of that name, or all of them."""
    if name == ALL:
        return tuple(known.values())
    if name not in known:
        raise LaneError(f"There is no kernel {name!r} in the lane; choose one of {', '.join(known)} or {ALL}.")
    return (known[name],)


def quick_tests(inside: Path) -> tuple[str, ...]:
    """File names of the tests that every run of the whole ladder starts."""
    return tuple(sorted(path.name for path in inside.glob("test_*.py")))


def long_tests(inside: Path) -> tuple[str, ...]:
    """And of those that only a run of everything does."""
    return tuple(sorted(f"{LONG}/{path.name}" for path in inside.glob(f"{LONG}/test_*.py")))


def known_tests(inside: Path) -> tuple[str, ...]:
    return quick_tests(inside) + long_tests(inside)


def chosen_tests(inside: Path, names: Iterable[str]) -> tuple[str, ...]:
    """Absolute pytest arguments; a test may be named by path, file name, or the part after `test_`, with `::node`."""
    return tuple(_located(inside, name) for name in names) or tuple(str(inside / name) for name in known_tests(inside))


def _located(inside: Path, name: str) -> str:
    file, colons, node = name.partition("::")
    stem = file.rsplit("/", 1)[-1].removesuffix(".py").removeprefix("test_")
    for known in known_tests(inside):
        if known.rsplit("/", 1)[-1] == f"test_{stem}.py":
            return f"{inside / known}{colons}{node}"
    raise LaneError(f"There is no VM test {name!r}; choose from {', '.join(known_tests(inside))}.")
