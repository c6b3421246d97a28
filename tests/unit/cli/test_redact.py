"""A report leaves the cluster without what must not leave it, and stays readable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_cli.cluster.redact import Redactor

REDACTOR = Redactor(b"salt")


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def-123",
        "password=hunter2",
        '{"token": "hunter2"}',
        "api_key: hunter2",
        "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----",
    ],
)
def test_secrets_do_not_leave(text):
    said = REDACTOR.text(text)
    assert "hunter2" not in said
    assert "abc.def-123" not in said
    assert "REDACTED" in said


@given(st.ip_addresses().filter(lambda a: not a.is_loopback and not a.is_unspecified))
def test_no_address_leaves_and_equal_ones_stay_equal(address):
    once, again = REDACTOR.text(f"from {address} port 80"), REDACTOR.text(f"to {address},")
    assert str(address) not in once
    assert once.split()[1] == again.split()[1].rstrip(",")


@pytest.mark.parametrize(
    "text", ["at 12:34:56", "kernel 6.18.44", "2030-01-01T12:00:00Z", "127.0.0.1:8080", "sha256:abc"]
)
def test_what_is_no_address_stays(text):
    assert REDACTOR.text(text) == text


def test_keys_tell_what_is_secret_and_clutter_is_left_out():
    found = REDACTOR.value({"password": "x", "managedFields": [1], "spec": [{"passwordSecret": "name", "port": 80}]})
    assert found == {"password": "REDACTED", "spec": [{"passwordSecret": "REDACTED", "port": 80}]}


def test_two_reports_cannot_be_compared():
    assert Redactor(b"a").text("192.0.2.7") != Redactor(b"b").text("192.0.2.7")
