"""A node's life without a kernel: what it is told, what it has learned of its interfaces, and its last word."""

from __future__ import annotations

from types import SimpleNamespace

from sentinel_agent import node, rooms
from sentinel_agent.node import Node
from sentinel_agent.predict.keeper import ModelKeeper
from sentinel_agent.rooms import Rooms
from sentinel_agent.settings import settings
from sentinel_api.errors import Invalid


def unread(ref, digest):
    raise Invalid(f"{ref} is not read in this test")


def lived(monkeypatch, *todo, chosen=lambda *_: (), absent=(), refused="", brains=None):
    """The status at the end of a node none of whose interfaces is there, and which was told so much; `brains` takes
    what it remembers of eth0."""

    def opened(interfaces, config, chosen, changed, brains_of):
        if brains is not None:
            brains.append(brains_of("eth0"))
        return Rooms((), (), {name: f"{name} is gone" for name in absent}, SimpleNamespace(start=lambda: None))

    monkeypatch.setattr(rooms, "chosen", chosen)
    monkeypatch.setattr(rooms, "opened", opened)
    monkeypatch.setattr(node, "ModelKeeper", lambda: ModelKeeper(unread))

    def last_word(self, *, hand_back):
        told.append((self.status(), hand_back))

    told = []
    monkeypatch.setattr(Node, "_stop", last_word)
    made = Node(settings({}))
    if refused:
        made.refuse(refused)
    for each in todo:
        made.obey(each)
    made.end()
    made.run()
    return told[-1][0]
