"""How the operator's process starts, and what it says where it cannot."""

import socket

import pytest

from sentinel_api.errors import Invalid
from sentinel_operator.__main__ import serve_metrics


def test_a_port_that_is_taken_is_named_with_the_way_out():
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Invalid, match=f"port {port} .*: free it, or set SENTINEL_METRICS_PORT to another"):
            serve_metrics(port)
