"""One speaker an address, the same by everybody's reckoning."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel_lb.decide.speakers import speaker, spoken_for

ADDRESSES = [f"198.51.100.{n}" for n in range(64)]
NAMES = st.sets(st.sampled_from([f"lb-{n}" for n in range(8)]), min_size=1)


@given(NAMES)
def test_every_address_has_exactly_one_speaker(names):
    spoken = [each for name in names for each in spoken_for(name, names - {name}, ADDRESSES)]
    assert sorted(spoken) == sorted(ADDRESSES)


@given(NAMES, st.data())
def test_when_one_goes_only_its_addresses_move(names, data):
    gone = data.draw(st.sampled_from(sorted(names)))
    left = names - {gone}
    for address in ADDRESSES if left else ():
        before = speaker(address, names)
        assert before == gone or speaker(address, left) == before


def test_addresses_are_spread():
    shares = [len(spoken_for(f"lb-{n}", {f"lb-{m}" for m in range(4)}, ADDRESSES)) for n in range(4)]
    assert min(shares) > 6
