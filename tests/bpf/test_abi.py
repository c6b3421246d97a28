"""Both banks agree on every shared layout: C by offsetof, Python by BTF, each against a table typed here by hand."""

import re
import subprocess
from pathlib import Path

import pytest

from sentinel_bpf import layout
from sentinel_bpf import object as bpf_object
from sentinel_bpf.buffer import discipline

INCLUDE = Path(__file__).parents[2] / "bpf" / "include"
U64S = 8

# struct: (bytes, fields in order as (name, offset, bytes)). Whoever changes a line here changes the ABI version too.
TABLE = {
    "sn_order": (
        48,
        [
            ("valid_until_ns", 0, 8),
            ("max_bytes", 8, 8),
            ("drain_Bps", 16, 8),
            ("target_us", 24, 4),
            ("kp", 28, 4),
            ("ki", 32, 4),
            ("kd", 36, 4),
            ("flags", 40, 4),
            ("seq", 44, 4),
        ],
    ),
    "sn_cell": (
        128,
        [
            ("packets", 0, 8),
            ("bytes", 8, 8),
            ("new_flows", 16, 8),
            ("syns", 24, 8),
            ("drops", 32, 8),
            ("drop_bytes", 40, 8),
            ("marks", 48, 8),
            ("lease_over", 56, 8),
            ("closes", 64, 8),
            ("fragments", 72, 8),
            ("last_seen_ns", 80, 8),
            ("_pad", 88, 5 * U64S),
        ],
    ),
    "sn_shape": (384, [("size", 0, 16 * U64S), ("gap", 128, 32 * U64S)]),
    "sn_sojourn": (768, [("bucket", 0, 96 * U64S)]),
    "sn_queue": (
        64,
        [
            ("backlog_bytes", 0, 8),
            ("backlog_packets", 8, 8),
            ("limit_bytes", 16, 8),
            ("sent_bytes", 24, 8),
            ("sent_packets", 32, 8),
            ("drops", 40, 8),
            ("drop_bytes", 48, 8),
            ("seen_ns", 56, 8),
        ],
    ),
    "sn_meta": (8, [("magic", 0, 4), ("class_id", 4, 4)]),
    "sn_ready": (16, [("headroom_bytes", 0, 8), ("seen_ns", 8, 8)]),
    "sn_probe": (
        24,
        [
            ("magic", 0, 4),
            ("version", 4, 1),
            ("kind", 5, 1),
            ("backend", 6, 2),
            ("seq", 8, 4),
            ("_pad", 12, 4),
            ("sent_ns", 16, 8),
        ],
    ),
    "sn_seen": (32, [("last_seen_ns", 0, 8), ("rtt_ns", 8, 8), ("answers", 16, 8), ("seq", 24, 4), ("_pad", 28, 4)]),
    "sn_prober": (16, [("beat_ns", 0, 8), ("period_ns", 8, 8)]),
}
CONSTANTS = {
    "sn_const": {"SN_ABI_VERSION": 1, "SN_CLASSES": 16, "SN_UNMATCHED": 0, "SN_RULES_PER_CLASS": 64},
    "sn_order_flag": {"SN_ORDER_POLICE": 1, "SN_ORDER_MARK": 2, "SN_ORDER_QUEUE": 4},
    "sn_probe_kind": {"SN_PROBE_ASK": 1, "SN_PROBE_ANSWER": 2},
    "sn_wire": {"SN_META_MAGIC": 0x534E4D31, "SN_PROBE_MAGIC": 0x534E5031, "SN_PROBE_PORT": 18471},
}


@pytest.fixture(scope="module")
def agent_object(built: Path) -> Path:
    return built / "agent.bpf.o"


def test_the_discipline_has_the_version_that_python_looks_for():
    header = (INCLUDE / "sentinel" / "qdisc.h").read_text()
    assert re.findall(r"SN_QDISC_VERSION = (\d+)", header) == [str(discipline.VERSION)]
    assert f'.id = "{discipline.KIND}"' in (INCLUDE.parent / "src" / "qdisc.bpf.c").read_text()


def test_the_table_holds_every_struct_of_the_header():
    header = (INCLUDE / "sentinel" / "abi.h").read_text()
    assert set(re.findall(r"^struct (sn_\w+) \{", header, re.MULTILINE)) == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_python_reads_the_layout_of_the_table(agent_object, name):
    size, fields = TABLE[name]
    read = layout.layout(agent_object, name)
    assert read.itemsize == size
    assert [(field, read.fields[field][1], read.fields[field][0].itemsize) for field in read.names] == fields


def test_c_compiles_to_the_layout_of_the_table(tmp_path):
    lines = ["#include <stddef.h>", "#include <sentinel/abi.h>"]
    for name, (size, fields) in TABLE.items():
        lines.append(f'_Static_assert(sizeof(struct {name}) == {size}, "{name}");')
        for field, offset, each in fields:
            lines.append(f'_Static_assert(offsetof(struct {name}, {field}) == {offset}, "{name}.{field}");')
            lines.append(f'_Static_assert(sizeof(((struct {name} *)0)->{field}) == {each}, "{name}.{field}");')
    source = tmp_path / "abi.c"
    source.write_text("\n".join(lines) + "\n")
    command = ["clang", "-std=gnu11", "-Wall", "-Werror", "-fsyntax-only", f"-I{INCLUDE}", str(source)]
    compiled = subprocess.run(command, capture_output=True, text=True, check=False)
    assert compiled.returncode == 0, compiled.stderr


@pytest.mark.parametrize("name", CONSTANTS)
def test_python_reads_the_constants_of_the_header(agent_object, name):
    assert CONSTANTS[name].items() <= layout.constants(agent_object, name).items()


def test_python_was_written_for_the_version_that_is_built(agent_object):
    assert layout.constants(agent_object, "sn_const")["SN_ABI_VERSION"] == bpf_object.ABI_VERSION


def test_network_order_is_part_of_the_type(agent_object):
    probe = layout.layout(agent_object, "sn_probe")
    assert {name: probe.fields[name][0].byteorder for name in ("magic", "seq", "backend", "sent_ns")} == {
        "magic": ">",
        "seq": ">",
        "backend": ">",
        "sent_ns": ">",
    }


def shared_structs() -> list[str]:
    """Of every header in the include folder: those with a size assertion."""
    headers = "".join(header.read_text() for header in sorted((INCLUDE / "sentinel").glob("*.h")))
    sized = re.findall(r"(?:SN_SIZE\(struct (\w+),|_Static_assert\(sizeof\(struct (\w+)\))", headers)
    return sorted({first or second for first, second in sized})


@pytest.mark.parametrize("name", shared_structs())
def test_shared_structs_have_no_hidden_padding_and_only_unsigned_fields(agent_object, name):
    types = layout.types(agent_object)
    if not types.has(layout.STRUCT, name):
        pytest.skip(f"struct {name} belongs to another object")
    record, end = types.struct(name), 0
    for field in record.names:
        dtype, offset = record.fields[field][:2]
        assert offset == end, f"a hole before {field}"
        assert dtype.base.kind in "uV", f"{field} is signed"
        end = offset + dtype.itemsize
    assert end == record.itemsize, "padding at the end"


def test_kernel_names_are_ours_and_are_not_cut(agent):
    names = [*agent.object.maps, *agent.object.programs]
    assert [name for name in names if not name.startswith((".", "sn_")) or len(name) > 15] == []
