"""A TCP relay to a server that can be cut: what is open breaks off, and nothing new is let through."""

from __future__ import annotations

import contextlib
import socket
import threading


class Way:
    """Goes on from the network namespace in which it is made, and listens in the one in which it is told to."""

    def __init__(self, host, port):
        self._there = host, port
        self._open = []
        self._cut = threading.Event()
        self._listening = threading.Event()
        self._server = None
        self.port = 0
        threading.Thread(target=self._run, daemon=True).start()

    def listen(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._listening.set()

    def cut(self):
        self._cut.set()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def heal(self):
        self._cut.clear()

    def close(self):
        self.cut()
        if self._server is not None:
            self._server.close()

    def _run(self):
        self._listening.wait()
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if self._cut.is_set():
                near.close()
                continue
            try:
                far = socket.create_connection(self._there)
            except OSError:
                near.close()
                continue
            self._open += [near, far]
            if self._cut.is_set():  # since it was let through
                self.cut()
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pour, args=(one, other), daemon=True).start()

    def _pour(self, one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        other.close()
