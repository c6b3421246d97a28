"""The chart's README, from the comments of values.yaml: `# -- sentence`, and what goes on below it, speak of the value
that follows. A value without one is refused."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from pages.markdown import head, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEY: Final = re.compile(r"^(?P<indent> *)(?P<name>[\w.-]+):")
COMMENT: Final = re.compile(r"^ *# ?(?P<text>.*)$")
OPENED: Final = "-- "

PAGE: Final = """\
{head}
{about}

```sh
helm install sentinel deploy/helm/sentinel -n sentinel-system --create-namespace
helm test sentinel -n sentinel-system     # is the operator alive, and does the API server know our kinds?
```

Kubernetes {kube}. Helm does not renew CRDs: [how to](../../../docs/how-to/install-and-upgrade.md).

{values}"""


def page(chart: Path) -> str:
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    text = (chart / "values.yaml").read_text()
    rows = ((f"`{path}`", f"`{_shown(value)}`", said) for path, value, said in described(text))
    return PAGE.format(
        head=head("The chart `sentinel`"),
        about=about["description"],
        kube=about["kubeVersion"].removesuffix("-0"),
        values=table(("value", "default", "meaning"), rows),
    )


def described(text: str) -> Iterator[tuple[str, Any, str]]:
    """Each value that a comment opens: its path, its default, and what is said of it."""
    comments = _comments(text)
    values = yaml.safe_load(text)
    for path, said in comments.items():
        yield path, _at(values, path), said
    silent = [path for path in _leaves(values) if not any(path == c or path.startswith(f"{c}.") for c in comments)]
    assert not silent, f"values.yaml says nothing of {', '.join(silent)}: write `# -- …` above"


def _comments(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    above: list[str] = []
    parents: list[str] = []
    for line in text.splitlines():
        comment, key = COMMENT.match(line), KEY.match(line)
        if comment:
            said = comment["text"]
            above = [said.removeprefix(OPENED)] if said.startswith(OPENED) else [*above, said] if above else []
        elif key:
            parents = [*parents[: len(key["indent"]) // 2], key["name"]]
            if above:
                found[".".join(parents)] = " ".join(above)
            above = []
        else:
            above = []
    return found


def _at(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for name in path.split("."):
        found = found[name]
    return found


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _shown(value: Any) -> str:
    return json.dumps(value)
