"""The API server's CEL rules, evaluated here too: a file is refused with the sentence a cluster would give."""

import functools
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cel as engine

KEYWORD = "x-kubernetes-validations"
_PREFIX_LENGTH = re.compile(r"0|[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL expression that must hold, and the sentence for who broke it."""

    rule: str
    message: str

    @property
    def about_change(self) -> bool:
        """Whether it compares with the stored object, so that it says nothing about a new one."""
        return "oldSelf" in self.rule


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """Rules for the API server, as a model's `json_schema_extra`; the model itself obeys them as well."""
    return {KEYWORD: [{"rule": rule, "message": message} for rule, message in rules]}


def rules_in(extra: object) -> tuple[Rule, ...]:
    """The rules that `cel()` put into a model's configuration."""
    if not isinstance(extra, Mapping):
        return ()
    return tuple(Rule(entry["rule"], entry["message"]) for entry in extra.get(KEYWORD, ()))


def holds(rule: Rule, variables: Mapping[str, Any]) -> bool:
    """Whether the rule is true of `self` (and `oldSelf`), given as wire values with the defaults filled in."""
    context = engine.Context(variables=dict(variables), functions=_LIBRARY)
    return _compiled(rule.rule).execute(context) is True


def is_cidr(text: str) -> bool:
    """`isCIDR` of Kubernetes: an IPv4 or IPv6 range, no leading zeros, no zone, no IPv4-mapped IPv6."""
    address, slash, length = text.partition("/")
    if not slash or not _PREFIX_LENGTH.fullmatch(length):
        return False
    parsed = _address(address)
    return parsed is not None and int(length) <= parsed.max_prefixlen


def is_ip(text: str) -> bool:
    """`isIP` of Kubernetes: like `is_cidr`, without the length."""
    return _address(text) is not None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if "%" in text:
        return None
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None
    return None if mapped else parsed


# What the API server's CEL knows beyond the standard, as far as our rules use it.
_LIBRARY = {"isCIDR": is_cidr, "isIP": is_ip, "sum": sum}


@functools.cache
def _compiled(rule: str) -> engine.Program:
    return engine.compile(rule)
