"""The page of contracts says what the code does: its tables are compared field by field, in order."""

import re
from pathlib import Path

import pytest

from sentinel_api import wire
from sentinel_api.decision import Decision
from sentinel_api.records import CLASSES
from sentinel_core import orders, pid, sample, signature

PAGE = (Path(__file__).parents[3] / "docs" / "design" / "0002-contracts.md").read_text()
BUILT = Path(__file__).parents[3] / "bpf" / "build" / "agent.bpf.o"


def table(name):
    """The cells of the table after the marker, without its head; code marks are taken off."""
    found = re.search(rf"<!-- table: {name} -->\n\|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE)
    assert found, f"the page has no table {name}"
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def sizes(name):
    return [(field, int(size)) for field, size, _ in table(name)]


def laid_out(dtype):
    return [(name, dtype[name].itemsize) for name in dtype.names]


@pytest.mark.parametrize("kind", wire.LAYOUTS)
def test_the_mesh_records_are_laid_out_as_the_page_says(kind):
    assert sizes(kind) == laid_out(wire.LAYOUTS[kind])


def test_the_sample_has_the_fields_of_the_page_in_its_order():
    assert sizes("sample") == laid_out(sample.ROW)
    assert [int(bit).bit_length() - 1 for bit in sample.Valid] == [0, 1, 2]


def test_the_order_has_the_fields_of_the_page():
    assert [field for field, _ in sizes("order")] == list(orders.words(orders.Order(1, 1, 1), 0, 0, DefaultBits()))


def test_the_order_is_as_wide_in_c_as_the_page_says():
    if not BUILT.exists():
        pytest.skip("bpf/build/agent.bpf.o is not built: run `make -C bpf`")
    from sentinel_bpf.layout import layout  # noqa: PLC0415  only where the object exists

    assert sizes("order") == laid_out(layout(BUILT, "sn_order"))


def test_the_gains_are_those_of_the_page():
    stated = {name: pid.Gains(*map(float, gains)) for name, *gains in table("gains")}
    assert stated == {"calm": pid.CALM, "burst": pid.BURST}


def test_the_model_has_the_ports_of_the_page():
    stated = [(port, side, tuple(shape.split(", "))) for port, side, shape in table("model")]
    ports = [("in", signature.INPUTS), ("out", signature.OUTPUTS)]
    coded = [(name, side, tuple(map(str, shape))) for side, all_of in ports for name, shape in all_of.items()]
    assert stated == coded


def test_the_decision_has_the_fields_of_the_page():
    assert [field for field, _ in table("decision")] == [field.alias for field in Decision.model_fields.values()]


@pytest.mark.parametrize(
    ("sentence", "constant"),
    [
        (r"There are (\d+) classes", CLASSES),
        (r"covers one period of (\d+) ms", sample.PERIOD_NS // 10**6),
        (r"State, at most (\d+) bytes", wire.STATE_MAX_BYTES),
        (r"clamped to \[.1, (\d+)\]", int(pid.ERROR_MAX)),
        (r"for `ki` and `kd` is (\d+) ms", pid.GAIN_PERIOD_NS // 10**6),
    ],
)
def test_numbers_in_the_text_are_those_of_the_code(sentence, constant):
    assert int(re.search(sentence, PAGE)[1]) == constant


def test_every_decision_of_the_design_has_a_page_of_its_own_number():
    pages = sorted(path.name for path in (Path(__file__).parents[3] / "docs" / "design").glob("000*.md"))
    assert [int(name[:4]) for name in pages] == list(range(1, 10))


class DefaultBits(dict):
    """Any flag of the object; which bits they are is not the page's matter."""

    def __missing__(self, name):
        return 1
