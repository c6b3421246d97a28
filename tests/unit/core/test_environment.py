"""What processes read from their environment."""

import pytest

from sentinel_api.errors import Invalid
from sentinel_core.environment import log_level, port


def test_what_is_not_set_has_its_default():
    assert (port({}, "SENTINEL_X_PORT", 9465), log_level({})) == (9465, 20)


def test_what_is_set_counts():
    assert (port({"P": "0"}, "P", 1), port({"P": "65535"}, "P", 1)) == (0, 65_535)
    assert log_level({"SENTINEL_LOG_LEVEL": "Error"}) == 40


@pytest.mark.parametrize("text", ["65536", "-1", "x", ""])
def test_no_port_is_a_sentence(text):
    with pytest.raises(Invalid, match="use a port up to 65535"):
        port({"P": text}, "P", 1)


def test_no_level_is_a_sentence():
    with pytest.raises(Invalid, match="use one of Debug, Info, Warning, Error"):
        log_level({"SENTINEL_LOG_LEVEL": "info"})
