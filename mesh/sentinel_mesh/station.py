"""A router's life: it opens when it has all it needs, and anew when its certificate, its members or its zones change.

The engine reads all of them once. So its clients go to the zone's other router meanwhile, or wait for a moment: what
they miss are some states, and no flow moves for that.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_mesh.connection import awaits_certificate
from sentinel_mesh.engine import Router
from sentinel_mesh.place import zones_in
from sentinel_mesh.summary import Summary

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from sentinel_mesh.place import Place

LOOK_S: Final = 10.0
"""As often as a member looks at its own."""
WAITING_S: Final = 0.5
FREE_S: Final = 10.0
"""Until the port is free again after the old session closed."""
TRY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Post:
    """What a router was told. With `zones` it dials the routers of that file that come before its own `endpoint`."""

    place: Place
    zones: Path | None = None
    endpoint: str = ""

    def now(self) -> Place:
        """As the files say now. Raises Invalid where one of them cannot be read."""
        place = self.place.called()
        if self.zones is None:
            return place
        return replace(place, peers=tuple(each for each in zones_in(self.zones).routers if each < self.endpoint))


class Station:
    """For one thread. `say` is told, as a sentence, what became of it."""

    def __init__(self, post: Post, say: Callable[[str], None]) -> None:
        self._post, self._say = post, say
        self._router: Router | None = None
        self._summary: Summary | None = None
        self._known: tuple[Place, str] | None = None

    @property
    def open(self) -> bool:
        return self._router is not None

    def run(self, ended: threading.Event) -> None:
        """Until the event; raises Invalid for what is wrong at the start. Later trouble leaves it as it is."""
        self.look()
        while not ended.wait(LOOK_S if self.open else WAITING_S):
            try:
                self.look()
            except Invalid as error:
                if not self.open:
                    raise
                self._say(f"goes on as before: {error}")

    def look(self) -> bool:
        """Whether it opened, for the first time or anew."""
        if awaits_certificate(self._post.place):
            return False
        place = self._post.now()
        found = place, place.credentials.digest() if place.credentials else ""
        if found == self._known:
            return False
        anew = self.open
        self.close()
        self._router = _opened(place, patient=anew)
        self._summary = Summary(place, self._router) if place.zone else None
        self._known = found
        self._say(f"passes on, and dials {len(place.dialled)}")
        return True

    def close(self) -> None:
        if self._summary is not None:
            self._summary.stop()
        if self._router is not None:
            self._router.close()
        self._router = self._summary = None


def _opened(place: Place, *, patient: bool) -> Router:
    deadline = time.monotonic() + FREE_S
    while True:
        try:
            return Router(place)
        except Invalid:
            if not patient or time.monotonic() > deadline:
                raise
            time.sleep(TRY_S)
