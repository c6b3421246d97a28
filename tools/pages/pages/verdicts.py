"""Every verdict that the code can pass, read from its source: the three words `status, reason, message` of a condition.

A condition is made in one of two ways, and anything else is refused, so that the page cannot miss one in silence:

    condition("ModelReady", "False", "BelowGate", said, …)      all of it in one call
    build("Ready", *_ready(world, …))                           the function returns the rest, as tuples
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

STATUSES = ("True", "False", "Unknown")


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: str
    """The condition's type."""
    status: str
    reason: str
    message: str
    """With … where a name or a number stands; empty where another part of the system says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    module: Mapping[str, ast.expr]
    """Values of the module's constants."""
    node: ast.FunctionDef


def verdicts(sources: Sequence[Path], words: Mapping[str, Sequence[str]]) -> tuple[Verdict, ...]:
    """`words`: the reasons behind an expression whose values the source does not show, if need be with the status
    in front of it."""
    functions: dict[str, Function] = {}
    for path in sources:
        tree = ast.parse(path.read_text())
        module = {
            t.id: n.value for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                functions[f"{path.stem}.{node.name}"] = functions[node.name] = Function(module, node)
    found = [each for function in set(functions.values()) for each in _built(function, functions, words)]
    return tuple(sorted(set(found), key=lambda each: (each.kind, each.status, each.reason, each.message)))


def _built(
    function: Function, functions: Mapping[str, Function], words: Mapping[str, Sequence[str]]
) -> Iterator[Verdict]:
    for call in (node for node in ast.walk(function.node) if isinstance(node, ast.Call)):
        if not (isinstance(call.func, ast.Name) and call.func.id in ("build", "condition") and call.args):
            continue
        kind, *rest = call.args
        assert isinstance(kind, ast.Constant), f"line {call.lineno}: the type of a condition is no plain word"
        if isinstance(rest[0], ast.Starred):
            assert isinstance(rest[0].value, ast.Call)
            maker = functions[ast.unparse(rest[0].value.func)]
            for passed in _returned(maker):
                yield from _read(str(kind.value), passed, maker, words)
        else:
            yield from _read(str(kind.value), rest[:3], function, words)


def _returned(function: Function) -> Iterator[list[ast.expr]]:
    for node in ast.walk(function.node):
        if isinstance(node, ast.Return):
            assert isinstance(node.value, ast.Tuple), f"{function.node.name} returns no plain verdict"
            yield node.value.elts


def _read(
    kind: str, said: Sequence[ast.expr], function: Function, words: Mapping[str, Sequence[str]]
) -> Iterator[Verdict]:
    status, reason, message = said
    assert isinstance(status, ast.Constant)
    assert status.value in STATUSES
    if isinstance(reason, ast.Constant):
        yield Verdict(kind, str(status.value), str(reason.value), _text(message, function))
        return
    spelt = ast.unparse(reason)
    known = words.get(f"{status.value} {spelt}") or words.get(spelt)
    texts = _dictionary(message, function)
    assert known or texts, f"{function.node.name}: nobody knows what {spelt} can be"
    for word in known or texts:
        yield Verdict(kind, str(status.value), word, texts.get(word, ""))


def _dictionary(message: ast.expr, function: Function) -> dict[str, str]:
    """The module's tables of sentences that a message is taken from."""
    found: dict[str, str] = {}
    for node in ast.walk(_assigned(message, function)):
        table = function.module.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(table, ast.Dict):
            for key, value in zip(table.keys, table.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                    found.setdefault(str(key.value), re.sub(r"{\w+}", "…", str(value.value)))
    return found


def _assigned(expression: ast.expr, function: Function) -> ast.expr:
    """What a local name last stood for."""
    if isinstance(expression, ast.Name):
        for node in ast.walk(function.node):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == expression.id:
                return node.value
    return expression


def _text(message: ast.expr, function: Function) -> str:
    found = _assigned(message, function)
    if isinstance(found, ast.Constant):
        return str(found.value)
    if isinstance(found, ast.JoinedStr):
        parts = (str(each.value) if isinstance(each, ast.Constant) else "…" for each in found.values)
        return "".join(parts)
    return ""
