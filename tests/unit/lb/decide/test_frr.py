"""FRR's configuration against files that a person has read; what must never be written is refused."""

from pathlib import Path

import pytest

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.loadbalancer import Bgp
from sentinel_lb.decide.frr import Speaker, rendered

GOLDEN = Path(__file__).parents[3] / "data/frr"
BOTH = [{"address": "10.90.0.2", "asn": 65002}, {"address": "fd90::2", "asn": 65002}]


def speaker(peers=BOTH, *, addresses=("198.51.100.9", "2001:db8:1::9"), passwords=None, going=False, **bgp):
    spec = Bgp.parse({"localAsn": 65001, "peers": peers} | bgp)
    return Speaker(spec, "10.90.0.1", addresses, passwords or {}, going)


CASES = {
    "usual": speaker(),
    "everything": speaker(
        [
            {
                "address": "10.90.0.2",
                "asn": 65002,
                "port": 1179,
                "passwordSecret": "tor-1",
                "bfd": {"intervalMillis": 10},
            },
            {"address": "10.90.0.3", "asn": 65002, "bfd": {"intervalMillis": 300, "multiplier": 5}},
            {"address": "10.90.0.4", "asn": 65001, "bfd": {"enabled": False}},
        ],
        addresses=("198.51.100.9", "198.51.100.10", "2001:db8:1::9"),
        passwords={"tor-1": "a-secret"},
        going=True,
        communities=["65001:100", "65001:200"],
        localPreference=200,
        med=7,
        gracefulRestartSeconds=60,
    ),
    "nothing to announce": speaker(BOTH[:1], addresses=(), gracefulRestartSeconds=0),
}


@pytest.mark.parametrize("case", CASES)
def test_the_configuration_is_the_one_that_was_read(case):
    assert rendered(CASES[case]) == (GOLDEN / f"{case.replace(' ', '-')}.conf").read_text()


def test_equal_speakers_have_equal_texts():
    assert rendered(speaker(addresses=("2001:db8:1::9", "198.51.100.9"))) == rendered(speaker())


@pytest.mark.parametrize("password", ["", "two words", "line\nneighbor 10.0.0.1 shutdown", "x" * 81])
def test_a_password_that_would_be_more_than_one_word_is_refused(password):
    peers = [{"address": "10.90.0.2", "asn": 65002, "passwordSecret": "tor"}]
    with pytest.raises(Invalid, match="without a space"):
        rendered(speaker(peers, passwords={"tor": password}))


def test_no_password_is_in_the_text_of_peers_without_one():
    assert "password" not in rendered(speaker())
