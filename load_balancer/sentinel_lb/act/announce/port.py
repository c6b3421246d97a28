"""The one thing that the loop may ask: announce these addresses, and no others. Asking twice changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from sentinel_api.v1alpha1.balancerconfig import BalancerConfig


class Announcer(Protocol):
    """Raises Transient for what may go through later; it is asked again at the next tick."""

    def configure(self, config: BalancerConfig) -> None:
        """What it may announce from now on, and to whom."""

    def announce(self, addresses: Collection[str], *, sure: bool = True) -> None:
        """Not `sure`: nobody is heard, so others may have them."""

    def withdraw(self) -> None:
        """All of them, as when everything is handed back."""


class Silent:
    """Something else routes to us."""

    def configure(self, config: BalancerConfig) -> None:
        pass

    def announce(self, addresses: Collection[str], *, sure: bool = True) -> None:
        pass

    def withdraw(self) -> None:
        pass
