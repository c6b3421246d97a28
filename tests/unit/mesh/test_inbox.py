"""What lies unread in our own connections is seen, and nothing else."""

import socket

import pytest

from sentinel_mesh.inbox import Inbox, connections, unread


@pytest.fixture
def pair():
    """Both ends of a connection; the port that was dialled."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as ours, listening.accept()[0] as theirs:
            yield ours, theirs, port


def arrived(ours, size):
    while len(ours.recv(65536, socket.MSG_PEEK)) < size:
        continue


def test_what_is_left_unread_from_look_to_look_means_that_we_are_late(pair):
    ours, theirs, port = pair
    inbox = Inbox({port})
    assert not inbox.stuck(0)
    theirs.sendall(b"beat")
    arrived(ours, 4)
    assert not inbox.stuck(1), "it may have come just now"
    assert inbox.stuck(2)
    theirs.sendall(b"beat")
    arrived(ours, 8)
    assert inbox.stuck(3)
    ours.recv(65536)
    assert not inbox.stuck(4)


def test_only_connections_of_the_mesh_count(pair):
    ours, theirs, port = pair
    with socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        assert set(connections({port})) == {ours.fileno(), theirs.fileno()}
        assert not connections({datagrams.getsockname()[1]})


def test_a_connection_that_was_closed_has_nothing_unread(pair):
    ours, theirs, port = pair
    theirs.sendall(b"beat")
    arrived(ours, 4)
    inbox = Inbox({port})
    inbox.stuck(0)
    number = ours.fileno()
    ours.close()
    assert unread(number) == 0
    assert not inbox.stuck(1)
