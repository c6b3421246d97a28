"""Questions to the kernel as values: what a format tells, how filters compile, what counts mean, what is refused."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from sentinel_api.errors import Invalid, Unsupported
from sentinel_cli.trace import answers, machine
from sentinel_cli.trace.command import trace
from sentinel_cli.trace.formats import parsed
from sentinel_cli.trace.programs import NO_CLASS, Filter, Kernel, program

DROPS = """\
name: kfree_skb
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;

	field:void * skbaddr;	offset:8;	size:8;	signed:0;
	field:void * location;	offset:16;	size:8;	signed:0;
	field:enum skb_drop_reason reason;	offset:36;	size:4;	signed:0;
	field:__u8 saddr[4];	offset:40;	size:4;	signed:0;

print fmt: "reason: %s", __print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 65, "QDISC_OVERLIMIT" })
"""
MEMBERS = ("cb", "cb_data", "dev", "head", "ifindex", "inum", "nd_net", "network_header", "ns", "priority")
NAMES = answers.Names(lambda index, _: f"dev{index}", lambda index, pid: f"dev{index} of {pid}", hex)


def kernel() -> Kernel:
    return Kernel(
        {"skb:kfree_skb": parsed("skb:kfree_skb", DROPS)},
        {name: 8 * at for at, name in enumerate(MEMBERS)},
        {"magic": 1, "major": 2, "minor": 3},
    )


def key(class_id: int = NO_CLASS, **more) -> SimpleNamespace:
    told = {"family": 0, "protocol": 0, "from_port": 0, "to_port": 0, "from": [0] * 16, "to": [0] * 16}
    return SimpleNamespace(**told | {"class_id": class_id} | more)


def test_a_format_tells_where_fields_lie_and_what_numbers_mean():
    told = parsed("skb:kfree_skb", DROPS)
    assert told.read("reason") == "*(u32 *)((char *)args + 36)"
    assert told.place("saddr").offset == 40
    assert told.words[65] == "QDISC_OVERLIMIT"


def test_a_kernel_that_tells_less_is_named():
    with pytest.raises(Unsupported, match="does not tell rx_sk: a newer kernel does"):
        parsed("skb:kfree_skb", DROPS).read("rx_sk")


def test_only_filters_that_were_asked_for_are_compiled_in():
    plain = program("drops", kernel(), Filter(), by_flow=True)
    assert "!= " not in plain.split("flow_of(skb, &flow);")[1]
    narrow = program("drops", kernel(), Filter(ifindex=7, namespace=99, port=5432, class_id=3), by_flow=True)
    assert "device.ifindex != 7 || device.namespace != 99u" in narrow
    assert "flow.from_port != 5432 && flow.to_port != 5432" in narrow
    assert "flow.class_id != 3" in narrow


def test_without_flows_a_row_is_a_class():
    assert "__builtin_memset(&flow" in program("drops", kernel(), Filter(), by_flow=False)
    assert "__builtin_memset(&flow" not in program("drops", kernel(), Filter(), by_flow=True)


def test_a_drop_is_told_with_reason_place_device_and_flow():
    flow = key(
        2, family=4, protocol=6, from_port=40000, to_port=80, **{"from": [10, 0, 0, 1, *[0] * 12]}, to=[10, 0, 0, 2]
    )
    drop = SimpleNamespace(reason=65, place=4096, device=SimpleNamespace(ifindex=4, namespace=1), flow=flow)
    [row] = answers.drops([(drop, 5)], parsed("skb:kfree_skb", DROPS), NAMES)
    assert row == {
        "reason": "QDISC_OVERLIMIT", "place": "0x1000", "device": "dev4", "class": 2,
        "flow": "10.0.0.1:40000 > 10.0.0.2:80", "protocol": "tcp", "packets": 5,
    }  # fmt: skip


def test_addresses_of_ipv6_stand_in_brackets():
    told = answers.flow(
        key(family=6, protocol=17, from_port=1, to_port=2, **{"from": [0] * 15 + [1]}, to=[0] * 15 + [2])
    )
    assert told == {"flow": "[::1]:1 > [::2]:2", "protocol": "udp"}


def test_quantiles_are_upper_ends_of_slots():
    assert answers.quantile({0: 50, 4: 45, 10: 5}, 50) == 0
    assert answers.quantile({0: 50, 4: 45, 10: 5}, 95) == 15
    assert answers.quantile({0: 50, 4: 45, 10: 5}, 99) == 1023


def test_waits_of_one_class_are_one_row():
    device = SimpleNamespace(ifindex=1, namespace=1)
    found = [(SimpleNamespace(flow=key(3), device=device, slot=slot), 10) for slot in (2, 5)]
    [row] = answers.sojourn(found, NAMES)
    assert (row["class"], row["packets"], row["p50AtMostMicros"], row["p99AtMostMicros"]) == (3, 20, 3, 31)


def test_who_resized_what_is_told_with_its_handle():
    call = SimpleNamespace(who=b"tc\0\0", pid=5, what=40, ifindex=2, handle=0x5E170010)
    [row] = answers.resizes([(call, 3)], NAMES)
    assert row == {
        "who": "tc", "pid": 5, "what": "class set", "device": "dev2 of 5", "handle": "5e17:10", "times": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retransmits", "--device", "lo"), "filter them by --port"),
        (("resizes", "--port", "80"), "filter them by --device"),
    ],
)
def test_a_filter_that_a_question_cannot_have_is_refused(words, said):
    refused = CliRunner().invoke(trace, words)
    assert isinstance(refused.exception, Invalid)
    assert said in str(refused.exception)


def test_without_bcc_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "DEBIAN", tmp_path / "bcc/__init__.py")
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda _: None)
    monkeypatch.delitem(machine.sys.modules, "bcc", raising=False)
    with pytest.raises(Unsupported, match="apt-get install python3-bpfcc"):
        machine.bcc()


def test_a_package_of_that_name_that_is_no_compiler_is_told(monkeypatch, tmp_path):
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr(machine, "DEBIAN", tmp_path / "__init__.py")
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda _: None)
    monkeypatch.delitem(machine.sys.modules, "bcc", raising=False)
    with pytest.raises(Unsupported, match="not the one of the BPF compiler"):
        machine.bcc()


def test_without_headers_it_says_which_and_where_else(monkeypatch):
    monkeypatch.setenv("BCC_KERNEL_SOURCE", "")
    monkeypatch.setattr(machine.os, "uname", lambda: SimpleNamespace(release="0.0-none"))
    if os.path.exists("/sys/kernel/kheaders.tar.xz"):  # noqa: PTH110  the kernel's own
        pytest.skip("this kernel brings its headers itself")
    with pytest.raises(Unsupported, match=r"linux-headers-0\.0-none.*BCC_KERNEL_SOURCE"):
        machine.headers()


def test_a_folder_without_headers_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("BCC_KERNEL_SOURCE", str(tmp_path))
    with pytest.raises(Unsupported, match="holds no kernel headers"):
        machine.headers()


def test_who_is_not_root_is_told_so(monkeypatch):
    monkeypatch.setattr(machine.os, "geteuid", lambda: 1000)
    with pytest.raises(Unsupported, match="sudo"):
        machine.kernel("drops")


def test_without_tracefs_it_says_how_to_mount_it(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "TRACEFS", (tmp_path,))
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0)
    with pytest.raises(Unsupported, match="mount -t tracefs"):
        machine.kernel("drops")
