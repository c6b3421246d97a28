"""The node's session with the others: usually one; while it is renewed, the old one speaks until the new one is heard.

A session reads its certificate and its members once, when it opens, and a port belongs to one session only. So a
renewal has two steps, and at every moment one session is connected to everybody:

    old, listening ──→ bridge, dials everybody ──→ new, listening

Whoever is in nobody's list of peers and dialled us by himself hears us again when he dials anew, within a second.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid, Transient
from sentinel_mesh.directory import named, resolved
from sentinel_mesh.engine import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sentinel_mesh.engine import Ears
    from sentinel_mesh.place import Place
    from sentinel_mesh.watch import Heard

PATIENCE_S: Final = 10.0
LOOK_S: Final = 0.02
WAITING_S: Final = 0.5
"""How often it is looked for a first certificate."""
LATELY_NS: Final = 1_000_000_000
"""Who spoke so lately must be heard by the new session before the old one goes."""


class Connection:
    """`send` and `beats` may be called from any thread, `renew` from one."""

    def __init__(self, place: Place, ears: Ears) -> None:
        self.place = place = replace(place, peers=resolved(place.peers))
        self._ears = ears
        self._generation = 0
        self._listening = True
        self._leaving = threading.Event()
        # Routers may not answer yet, and who makes a connection has other things to do than to wait for them.
        self._session = None if awaits(place) or place.routers else Session(place, ears)

    @property
    def joined(self) -> bool:
        """False while there is no certificate yet, no zone, or no router that answers."""
        return self._session is not None

    def send(self, kind: str, record: bytes) -> None:
        if self._session is None:
            raise Transient(f"the mesh takes no {kind}: this node has not joined it yet")
        self._session.send(kind, record)

    def beats(self) -> Iterator[Heard]:
        if self._session is not None:
            yield from self._session.beats()

    def renew(self, place: Place) -> None:
        """Raises Invalid or Transient where the others do not take us so; then the old session goes on."""
        if self._session is None:
            self._session = Session(place, self._ears)
        else:
            if self._listening:
                self._hand_over(self._session, place, listening=False)
            self._hand_over(self._session, place, listening=True)
        self.place = place

    def leave(self) -> None:
        """A renewal that is under way is waited for no longer: a process that is told to stop has little time."""
        self._leaving.set()

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _hand_over(self, old: Session, place: Place, *, listening: bool) -> None:
        heir = self._heir(place, listening=listening)
        same_ears = place.ears == self.place.ears
        expected = old.speakers(time.monotonic_ns() - LATELY_NS) if same_ears else set()

        def known() -> bool:
            # One connection is proof of the certificate. As many as before may never come: who dialled us, as the
            # operator does, the heir cannot dial, and others' heirs count twice while all renew at the same time.
            accepted = heir.links() > 0 or not old.links() or not place.others
            return accepted and heir.speakers(0) >= expected

        try:
            self._wait(known, "the others did not accept this node's new certificate")
        except Transient:
            if not listening:
                heir.close()
                raise
        old.hearing, heir.hearing = False, True
        self._session, self._listening = heir, listening
        old.close()

    def _heir(self, place: Place, *, listening: bool) -> Session:
        self._generation += 1
        heir: list[Session] = []

        def opened() -> bool:
            try:
                heir.append(Session(place, self._ears, generation=self._generation, listening=listening, hearing=False))
            except Invalid:
                if listening:  # the port is free a moment after the old session closed
                    return False
                raise
            return True

        self._wait(opened, f"this node cannot listen on {', '.join(place.listen)} again")
        return heir[0]

    def _wait(self, fact: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not fact():
            if time.monotonic() > deadline:
                raise Transient(f"{otherwise} within {PATIENCE_S:g} s: it goes on as before and tries again")
            if self._leaving.wait(LOOK_S):
                raise Transient("this node leaves the mesh: what it has is good enough")


class Renewal:
    """Looks every few seconds whether files, members or the addresses behind a name changed, and renews if so."""

    def __init__(
        self, connection: Connection, place: Place, period_s: float, let_in: Callable[[tuple[str, ...] | None], None]
    ) -> None:
        """`place` is as it was given: with names. `let_in` is told who the members are from now on."""
        self._connection, self._period_s, self._let_in = connection, period_s, let_in
        self._wanted = place
        self._known = _digest(place)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="renewal", daemon=True)
        self.done = 0
        self.trouble = ""
        """Why the last try failed; empty when it did not."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._connection.leave()
        self._thread.join()

    def admit(self, members: tuple[str, ...]) -> None:
        """From the next look on."""
        self._wanted = replace(self._wanted, members=members)

    def _run(self) -> None:
        wait_s = 0.0
        while not self._ended.wait(wait_s):
            try:
                self._look()
                self.trouble = ""
            except (Invalid, Transient) as error:
                self.trouble = str(error)
            wait_s = self._period_s if self._connection.joined else min(self._period_s, WAITING_S)

    def _look(self) -> None:
        if awaits_certificate(self._wanted):
            return
        wanted, found = self._wanted.called(), _digest(self._wanted)
        if wanted.nowhere:
            return  # a node that is taken off the list goes on where it was, until its process ends
        used = self._connection.place
        # Who left is dialled on: he may come back, and to forget him is not worth a new session.
        peers = tuple(dict.fromkeys((*used.peers, *resolved(wanted.peers))))
        fresh = replace(wanted, peers=peers)
        joined = self._connection.joined
        if joined and found == self._known and _alike(fresh, used):
            self._connection.place = fresh  # who is in other zones is no matter of sessions
            return
        self._let_in(fresh.members)
        self._connection.renew(fresh)
        self._known = found
        self.done += joined


def may_change(place: Place) -> bool:
    """Whether there is anything to look after."""
    return place.credentials is not None or named(place.peers) or bool(place.routers) or place.zones is not None


def awaits(place: Place) -> bool:
    """Whether somebody else must say something before this node can join."""
    return awaits_certificate(place) or place.nowhere


def awaits_certificate(place: Place) -> bool:
    return place.credentials is not None and place.credentials.enrolled is not None and not place.credentials.present()


def _alike(one: Place, other: Place) -> bool:
    """Whether a session of the one serves the other."""
    same_ends = one.dialled == other.dialled and one.routers == other.routers
    return one.members == other.members and same_ends and one.ears == other.ears


def _digest(place: Place) -> str:
    return place.credentials.digest() if place.credentials and not awaits_certificate(place) else ""
