"""Who asked what of a control plane, from its audit log; and what a role grants, in the same words."""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

Right = tuple[str, str, str]  # group, resource (with its subresource), verb

NOT_AUDITED = {
    ("rbac.authorization.k8s.io", "clusterroles", "bind"),
    ("sentinel.io", "bufferclusters/finalizers", "update"),
    ("certificates.k8s.io", "signers", "approve"),
    ("certificates.k8s.io", "signers", "sign"),
}
"""Asked by the API server itself while it admits other requests."""


def used(log: Path, user: str) -> set[Right]:
    """Server-side apply of what is not there yet needs the right to create too."""
    found = set()
    for event in _events(log, user):
        what = event["objectRef"]
        resource = "/".join(part for part in (what["resource"], what.get("subresource")) if part)
        found.add((what.get("apiGroup", ""), resource, event["verb"]))
        if event["verb"] == "patch" and event["responseStatus"]["code"] == 201:
            found.add((what.get("apiGroup", ""), resource, "create"))
    return found


def refused(log: Path, user: str) -> list[str]:
    return [e["requestURI"] for e in _events(log, user) if e["responseStatus"].get("code") == 403]


def granted(manifests: str, *roles: str) -> set[Right]:
    """Of all roles and cluster roles with one of those names."""
    found = [each for each in yaml.safe_load_all(manifests) if each and each["kind"] in ("Role", "ClusterRole")]
    rules = [rule for each in found if each["metadata"]["name"] in roles for rule in each["rules"]]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    } - NOT_AUDITED


def _events(log: Path, user: str) -> Iterator[dict]:
    whole, _, _ = log.read_text().rpartition("\n")  # a living server may be in the middle of its next line
    for line in whole.splitlines():
        event = json.loads(line)
        if event["user"]["username"] == user and "objectRef" in event:
            yield event
