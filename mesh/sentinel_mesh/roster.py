"""Who is there, as this process heard it: what comes in is checked and counted, and read as one frozen value."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_api.wire import BEAT_MAX_BYTES, STATE_MAX_BYTES, UnknownVersion, unpack_beat, unpack_state
from sentinel_mesh.keys import Token, node_of, token_of
from sentinel_mesh.membership import LATE_NS, SILENT_NS, Level, Probe, Standing, Witnesses, judge, speaks
from sentinel_mesh.pulse import Rhythm, beaten
from sentinel_mesh.refusal import Refusal
from sentinel_mesh.watch import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sentinel_api.records import Beat, NodeState
    from sentinel_mesh.watch import Heard

MEMBERS_MAX: Final = 1024
TOKENS_MAX: Final = 8
FORGOTTEN_NS: Final = 60_000_000_000
"""A node that left is shown for a minute, so that people see what became of it."""


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    level: Level
    since_ns: int
    state: NodeState | None
    heard_ns: int | None
    speaks: bool = True
    """At this instant; who fell lately may speak again and still be suspected."""


@dataclass(frozen=True, slots=True)
class View:
    """The other nodes at one instant. `refused` counts since the start."""

    at_ns: int
    members: Mapping[str, Member]
    refused: Mapping[Refusal, int]

    def level(self, name: str) -> Level | None:
        member = self.members.get(name)
        return member.level if member else None


@dataclass(slots=True)
class _Entry:
    seen_ns: int
    state: NodeState | None = None
    heard_ns: int | None = None
    held_ns: int = 0
    """How late the watcher was in all when it heard that."""
    gone_ns: int | None = None
    tokens: set[Token] = field(default_factory=set)
    """A process has two while it renews its certificate."""
    probe: Probe = Probe.UNKNOWN
    standing: Standing | None = None
    rhythm: Rhythm | None = None
    beat: Beat | None = None
    beat_ns: int = 0

    def judged(self, now_ns: int, clock: Clock) -> Standing:
        self.standing = judge(self.standing, self.witnesses(now_ns, clock), now_ns)
        return self.standing

    def speaks(self, now_ns: int, clock: Clock) -> bool:
        """First what is usual and cheap: a thousand of them are asked for a hundred times a second."""
        if self.heard_ns is not None and self.gone_ns is None and now_ns - self.heard_ns <= LATE_NS:
            return not self.overdue(clock.awake_ns)
        return speaks(self.witnesses(now_ns, clock), now_ns)

    def witnesses(self, now_ns: int, clock: Clock) -> Witnesses:
        return Witnesses(*self.heard(now_ns, clock), self.probe, self.overdue(clock.awake_ns))

    def heard(self, now_ns: int, clock: Clock) -> tuple[int | None, int | None]:
        """When its last state came and when it was gone, as if the watcher's own delays since then had not been."""
        if self.heard_ns is None:
            return None, self.gone_ns
        late_ns = min(clock.held_ns(now_ns) - self.held_ns, now_ns - self.heard_ns)
        return self.heard_ns + late_ns, None if self.gone_ns is None else self.gone_ns + late_ns

    def overdue(self, awake_ns: int) -> bool:
        """States that go on long after the last beat outweigh its silence: then it is the beats that ended."""
        if self.rhythm is None or self.heard_ns is None or self.heard_ns - self.beat_ns > SILENT_NS:
            return False
        return self.rhythm.overdue(awake_ns)

    def beats(self, beat: Beat, now_ns: int, clock: Clock) -> bool:
        """False for a replay. Beats of a process that has told no state yet count for nothing."""
        if self.state is None or beat.incarnation > self.state.incarnation:
            return True
        known = (self.state.incarnation, self.beat.seq if self.beat else -1)
        if (beat.incarnation, beat.seq) <= known:
            return False
        if self.overdue(clock.awake_ns):
            self.judged(now_ns, clock)  # a gap that ends with this beat was one, even if nobody looked meanwhile
        self.rhythm = beaten(self.rhythm, beat.period_ms * 1_000_000, clock.awake_ns)
        self.beat, self.beat_ns, self.seen_ns = beat, now_ns, now_ns
        return True

    def vouched(self, token: Token, *, alive: bool, now_ns: int) -> bool:
        """False when there is no room for one more."""
        if alive and len(self.tokens) >= TOKENS_MAX and token not in self.tokens:
            return False
        if alive:
            self.tokens.add(token)
        else:
            self.tokens.discard(token)
        if self.state is not None and token.incarnation == self.state.incarnation:
            self.gone_ns = None if self.knows(token.incarnation) else now_ns
        return True

    def knows(self, incarnation: int) -> bool:
        """Whether the engine says that this process lives."""
        return any(each.incarnation == incarnation for each in self.tokens)


class Roster:
    """Its methods may be called from any thread and only ever wait for one another, for microseconds."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._entries: dict[str, _Entry] = {}
        self._refused: Counter[Refusal] = Counter()
        self._clock = Clock()
        self._lock = threading.Lock()

    def refuse(self, refusal: Refusal) -> None:
        """Counts what somebody else found."""
        with self._lock:
            self._refused[refusal] += 1

    def told(self, key: str, size: int, read: Callable[[], bytes], now_ns: int) -> None:
        """A state arrived; its bytes are read only when there are not too many of them."""
        with self._lock:
            refusal = self._believe(key, size, read, now_ns)
            if refusal is not None:
                self._refused[refusal] += 1

    def vouched(self, key: str, *, alive: bool, now_ns: int) -> None:
        """The engine says that a process of this node came or went."""
        with self._lock:
            try:
                token = token_of(key)
            except Invalid:
                self._refused[Refusal.STRANGE_KEY] += 1
                return
            if token.node == self._own:
                return
            entry = self._entry(token.node, now_ns) if alive else self._entries.get(token.node)
            if entry is None:
                self._refused[Refusal.CROWDED] += alive
                return
            entry.seen_ns = now_ns
            if entry.vouched(token, alive=alive, now_ns=now_ns):
                entry.judged(now_ns, self._clock)
            else:
                self._refused[Refusal.CROWDED] += 1

    def beaten(self, heard: Iterable[Heard], now_ns: int, awake_ns: int) -> None:
        """All beats that came since the last time; from here on overdue is who was not among them for long."""
        clock = Clock(now_ns, awake_ns)
        with self._lock:
            for key, size, read in heard:
                refusal = self._felt(key, size, read, now_ns, clock)
                if refusal is not None:
                    self._refused[refusal] += 1
            self._clock = clock

    def view(self, now_ns: int, probes: Mapping[str, Probe] | None = None) -> View:
        """`probes` is what the balancer's kernel says of nodes, where there is a balancer."""
        with self._lock:
            for name in [name for name, each in self._entries.items() if _forgotten(each, now_ns)]:
                del self._entries[name]
            members = {}
            for name, entry in sorted(self._entries.items()):
                entry.probe = (probes or {}).get(name, Probe.UNKNOWN)
                standing = entry.judged(now_ns, self._clock)
                members[name] = Member(
                    name,
                    standing.level,
                    standing.since_ns,
                    entry.state,
                    entry.heard_ns,
                    entry.speaks(now_ns, self._clock),
                )
            return View(now_ns, MappingProxyType(members), MappingProxyType(dict(self._refused)))

    def names(self) -> frozenset[str]:
        """Who told a state, or is said to live."""
        with self._lock:
            return frozenset(self._entries)

    def silent(self, now_ns: int) -> frozenset[str]:
        """Who is not heard at this instant; cheaper than a view."""
        with self._lock:
            return frozenset(name for name, each in self._entries.items() if not each.speaks(now_ns, self._clock))

    def _believe(self, key: str, size: int, read: Callable[[], bytes], now_ns: int) -> Refusal | None:
        try:
            name = node_of(key)
        except Invalid:
            return Refusal.STRANGE_KEY
        state = Refusal.IMPOSTOR if name == self._own else _understood(size, read)
        if isinstance(state, Refusal):
            return state
        entry = self._entry(name, now_ns)
        if entry is None:
            return Refusal.CROWDED
        if not _follows(state, entry):
            return Refusal.REPLAYED
        if entry.state is not None and entry.state.incarnation != state.incarnation:
            entry.gone_ns, entry.rhythm, entry.beat = None, None, None  # of another process
        entry.judged(now_ns, self._clock)  # a gap that ends with this state was one, even if nobody looked meanwhile
        entry.state, entry.heard_ns, entry.seen_ns = state, now_ns, now_ns
        entry.held_ns = self._clock.held_ns(now_ns)
        entry.judged(now_ns, self._clock)
        return None

    def _felt(self, key: str, size: int, read: Callable[[], bytes], now_ns: int, clock: Clock) -> Refusal | None:
        """Beats alone make no member: who tells no state is of no use to anybody."""
        try:
            name = node_of(key)
            beat = unpack_beat(read()) if size <= BEAT_MAX_BYTES else Refusal.OVERSIZE
        except Invalid:
            return Refusal.GARBAGE
        if isinstance(beat, Refusal):
            return beat
        if isinstance(beat, UnknownVersion):
            return Refusal.UNKNOWN_VERSION
        entry = self._entries.get(name)
        fresh = entry is None or entry.beats(beat, now_ns, clock)
        return None if fresh else Refusal.REPLAYED

    def _entry(self, name: str, now_ns: int) -> _Entry | None:
        """None when there is no room for one more."""
        if name not in self._entries:
            if len(self._entries) >= MEMBERS_MAX:
                return None
            self._entries[name] = _Entry(now_ns)
        return self._entries[name]


def _understood(size: int, read: Callable[[], bytes]) -> NodeState | Refusal:
    if size > STATE_MAX_BYTES:
        return Refusal.OVERSIZE
    try:
        state = unpack_state(read())
    except Invalid:
        return Refusal.GARBAGE
    return Refusal.UNKNOWN_VERSION if isinstance(state, UnknownVersion) else state


def _follows(state: NodeState, entry: _Entry) -> bool:
    """Newer, or of a process that the engine knows while it knows the other no more: a clock was set back meanwhile."""
    known = entry.state
    if known is None:
        return True
    restarted = entry.knows(state.incarnation) and not entry.knows(known.incarnation)
    return state.newer_than(known) or (restarted and state.incarnation != known.incarnation)


def _forgotten(entry: _Entry, now_ns: int) -> bool:
    return not entry.tokens and now_ns - entry.seen_ns > FORGOTTEN_NS
