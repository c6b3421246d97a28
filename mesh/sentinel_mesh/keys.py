"""Under which keys nodes tell what; a key is as little to be trusted as the bytes it came with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sentinel_api.errors import Invalid
from sentinel_api.wire import NAME_MAX_BYTES

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_NUMBER_MAX: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one cluster, or of one zone of it: what its members tell each other, nobody in another zone hears, but for
    those who listen `wide`: to the members of every zone."""

    cluster: str
    zone: str = ""
    wide: bool = False

    def __post_init__(self) -> None:
        checked_name(self.cluster, "cluster")
        if self.zone:
            checked_name(self.zone, "zone")

    @property
    def space(self) -> str:
        """What the keys of its members begin with."""
        return f"sentinel/{self.cluster}.{self.zone}" if self.zone else f"sentinel/{self.cluster}"

    @property
    def heard(self) -> str:
        """What the keys of those begin with whom it listens to."""
        return self.zones if self.wide else self.space

    @property
    def zones(self) -> str:
        """What the keys of every zone's members begin with."""
        return f"sentinel/{self.cluster}.$*"

    def digest(self) -> str:
        """Its own, in the cluster's space, where other zones hear it."""
        return f"sentinel/{self.cluster}/{checked_name(self.zone, 'zone')}/digest"

    @property
    def every_digest(self) -> str:
        return f"sentinel/{self.cluster}/*/digest"

    def state(self, node: str) -> str:
        return f"{self.space}/{checked_name(node, 'node')}/state"

    def beat(self, node: str) -> str:
        return f"{self.space}/{checked_name(node, 'node')}/beat"

    def alarm(self, node: str) -> str:
        return f"{self.space}/{checked_name(node, 'node')}/alarm"

    def share(self, balancer: str) -> str:
        return f"{self.space}/{checked_name(balancer, 'node')}/share"

    def token(self, node: str, incarnation: int, generation: int = 0) -> str:
        """Its incarnation is in it, so that the end of an old process never takes the token of the new one; and its
        session's generation, for the same reason."""
        return f"{self.space}/{checked_name(node, 'node')}/alive/{incarnation}/{generation}"

    def tokens(self, node: str) -> str:
        return f"{self.space}/{checked_name(node, 'node')}/alive/*/*"

    @property
    def every_state(self) -> str:
        return f"{self.heard}/*/state"

    @property
    def every_beat(self) -> str:
        return f"{self.heard}/*/beat"

    @property
    def every_alarm(self) -> str:
        return f"{self.heard}/*/alarm"

    @property
    def every_share(self) -> str:
        return f"{self.heard}/*/share"

    @property
    def every_token(self) -> str:
        return f"{self.heard}/*/alive/*/*"


@dataclass(frozen=True, slots=True)
class Token:
    """What the engine holds for a session of a process as long as that lives."""

    node: str
    incarnation: int
    generation: int


def checked_name(name: str, what: str) -> str:
    if len(name) > NAME_MAX_BYTES or not _NAME.fullmatch(name):
        raise Invalid(f"{name!r} is no {what} name: use 1 to {NAME_MAX_BYTES} letters, digits, dots, dashes")
    return name


def node_of(key: str) -> str:
    """Whom a state is about; raises Invalid for a key that none of us would use."""
    return checked_name(_part(key, 2), "node")


def token_of(key: str) -> Token:
    """Raises Invalid for a key that none of us would use."""
    return Token(node_of(key), _number(_part(key, 4)), _number(_part(key, 5)))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text[:11]) > _NUMBER_MAX:
        raise Invalid(f"{text[:16]!r} is no incarnation or generation: it is a number of 32 bits")
    return int(text)


def _part(key: str, index: int) -> str:
    parts = key.split("/")
    return parts[index] if index < len(parts) else ""
