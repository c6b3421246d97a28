"""Under which keys nodes tell what; a key is as little to be trusted as the bytes it came with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sentinel_api.errors import Invalid
from sentinel_api.wire import NAME_MAX_BYTES

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_INCARNATION_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one cluster."""

    cluster: str

    def __post_init__(self) -> None:
        checked_name(self.cluster, "cluster")

    def state(self, node: str) -> str:
        return f"sentinel/{self.cluster}/{checked_name(node, 'node')}/state"

    def beat(self, node: str) -> str:
        return f"sentinel/{self.cluster}/{checked_name(node, 'node')}/beat"

    def alarm(self, node: str) -> str:
        return f"sentinel/{self.cluster}/{checked_name(node, 'node')}/alarm"

    def share(self, balancer: str) -> str:
        return f"sentinel/{self.cluster}/{checked_name(balancer, 'node')}/share"

    def token(self, node: str, incarnation: int) -> str:
        """Its incarnation is in it, so that the end of an old process never takes the token of the new one."""
        return f"sentinel/{self.cluster}/{checked_name(node, 'node')}/alive/{incarnation}"

    @property
    def every_state(self) -> str:
        return f"sentinel/{self.cluster}/*/state"

    @property
    def every_beat(self) -> str:
        return f"sentinel/{self.cluster}/*/beat"

    @property
    def every_alarm(self) -> str:
        return f"sentinel/{self.cluster}/*/alarm"

    @property
    def every_share(self) -> str:
        return f"sentinel/{self.cluster}/*/share"

    @property
    def every_token(self) -> str:
        return f"sentinel/{self.cluster}/*/alive/*"


def checked_name(name: str, what: str) -> str:
    if len(name) > NAME_MAX_BYTES or not _NAME.fullmatch(name):
        raise Invalid(f"{name!r} is no {what} name: use 1 to {NAME_MAX_BYTES} letters, digits, dots, dashes")
    return name


def node_of(key: str) -> str:
    """Whom a state is about; raises Invalid for a key that none of us would use."""
    return checked_name(_part(key, 2), "node")


def token_of(key: str) -> tuple[str, int]:
    """The node and incarnation of a token; raises Invalid for a key that none of us would use."""
    number = _part(key, 4)
    if not (number.isascii() and number.isdecimal()) or int(number[:11]) > _INCARNATION_MAX:
        raise Invalid(f"{number[:16]!r} is no incarnation: it is a number of 32 bits")
    return node_of(key), int(number)


def _part(key: str, index: int) -> str:
    parts = key.split("/")
    return parts[index] if index < len(parts) else ""
