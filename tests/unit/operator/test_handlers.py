"""Where kopf finds the API server."""

import pytest

from sentinel_operator.handlers import api_server


@pytest.mark.parametrize(
    ("host", "expected"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_a_pod_goes_by_the_address_it_was_told_and_asks_no_dns(host, expected):
    assert api_server({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}) == expected
