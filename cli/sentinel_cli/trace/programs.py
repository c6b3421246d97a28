"""The C of each question, with the filters compiled in: what is not asked for is not even looked at.

Only tracepoints are used, so that a kernel without kprobes answers all the same. Where the members of the kernel's
structs lie comes from its BTF, and where those of a tracepoint lie from its format: the headers that bcc compiles
with need not be of this very kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_cli.trace.formats import Format

NO_CLASS: Final = 0xFFFF
SLOTS: Final = 32
"""Powers of two of microseconds."""

EVENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "drops": ("skb:kfree_skb",),
    "sojourn": ("qdisc:qdisc_enqueue", "qdisc:qdisc_dequeue"),
    "retransmits": ("tcp:tcp_retransmit_skb",),
    "resizes": ("syscalls:sys_enter_sendto", "syscalls:sys_enter_sendmsg", "syscalls:sys_enter_bpf"),
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Zero, or nothing, lets everything through."""

    ifindex: int = 0
    namespace: int = 0
    """Inode of the network namespace that `ifindex` belongs to: another one counts its devices anew."""
    port: int = 0
    class_id: int | None = None


@dataclass(frozen=True, slots=True)
class Kernel:
    """Where things lie in this kernel; `formats` by event."""

    formats: Mapping[str, Format]
    offsets: Mapping[str, int]
    queue: Mapping[str, int]
    """How Sentinel marks packets: constants of its BPF objects."""


def program(question: str, kernel: Kernel, wanted: Filter, by_flow: bool) -> str:
    made = {"drops": _drops, "sojourn": _sojourn, "retransmits": _retransmits, "resizes": _resizes}
    return _TYPES + made[question](kernel, wanted, by_flow)


_TYPES: Final = """
struct flow_t { u8 family; u8 protocol; u16 from_port; u16 to_port; u16 class_id; u8 from[16]; u8 to[16]; };
struct device_t { u32 ifindex; u32 namespace; };
struct drop_t { u64 place; u32 reason; struct device_t device; struct flow_t flow; u32 pad; };
struct wait_t { struct flow_t flow; struct device_t device; u32 slot; };
struct call_t { char who[16]; u32 pid; u32 what; u32 ifindex; u32 handle; };
"""

_PACKET: Final = """
#define READ(TYPE, AT) ({{ TYPE _v = 0; bpf_probe_read_kernel(&_v, sizeof(_v), (void *)(AT)); _v; }})
static __always_inline u16 class_of(u64 skb)
{{
	u64 stamp = skb + {cb} + {cb_data};
	u32 priority = READ(u32, skb + {priority});
	if (READ(u32, stamp) == {magic}u)
		return READ(u32, stamp + 4);
	if (priority >> 16 == {major}u)
		return (priority & 0xffff) - {minor};
	return {no_class};
}}
static __always_inline void device_of(u64 skb, struct device_t *device)
{{
	u64 at = READ(u64, skb + {dev});
	if (!at)
		return;
	device->ifindex = READ(u32, at + {ifindex});
	device->namespace = READ(u32, READ(u64, at + {nd_net}) + {ns} + {inum});
}}
static __always_inline void flow_of(u64 skb, struct flow_t *flow)
{{
	u64 at = READ(u64, skb + {head}) + READ(u16, skb + {network_header});
	u8 first = READ(u8, at);
	u64 ports;
	if (first >> 4 == 4) {{
		flow->family = 4;
		flow->protocol = READ(u8, at + 9);
		bpf_probe_read_kernel(flow->from, 4, (void *)(at + 12));
		bpf_probe_read_kernel(flow->to, 4, (void *)(at + 16));
		ports = at + (first & 15) * 4;
	}} else if (first >> 4 == 6) {{
		flow->family = 6;
		flow->protocol = READ(u8, at + 6);
		bpf_probe_read_kernel(flow->from, 16, (void *)(at + 8));
		bpf_probe_read_kernel(flow->to, 16, (void *)(at + 24));
		ports = at + 40;
	}} else
		return;
	if (flow->protocol != 6 && flow->protocol != 17)
		return;
	flow->from_port = bpf_ntohs(READ(u16, ports));
	flow->to_port = bpf_ntohs(READ(u16, ports + 2));
}}
"""


def _packet(kernel: Kernel) -> str:
    return _PACKET.format(**kernel.offsets, **kernel.queue, no_class=NO_CLASS)


def _passing(wanted: Filter) -> str:
    """Ends the program for what is not asked for."""
    tests = []
    if wanted.ifindex:
        tests.append(f"device.ifindex != {wanted.ifindex} || device.namespace != {wanted.namespace}u")
    if wanted.class_id is not None:
        tests.append(f"flow.class_id != {wanted.class_id}")
    if wanted.port:
        tests.append(f"(flow.from_port != {wanted.port} && flow.to_port != {wanted.port})")
    return "".join(f"\tif ({test})\n\t\treturn 0;\n" for test in tests)


def _shortened(by_flow: bool) -> str:
    """Without flows a row is a class: what tells flows apart is forgotten once the filter has seen it."""
    kept = "u16 class_id = flow.class_id; __builtin_memset(&flow, 0, sizeof(flow)); flow.class_id = class_id;"
    return "" if by_flow else f"\t{kept}\n"


def _drops(kernel: Kernel, wanted: Filter, by_flow: bool) -> str:
    told = kernel.formats["skb:kfree_skb"]
    return f"""{_packet(kernel)}
BPF_HASH(found, struct drop_t, u64, 8192);
int on_kfree_skb(void *args)
{{
	u64 skb = {told.read("skbaddr")};
	struct drop_t key = {{}};
	struct flow_t flow = {{}};
	struct device_t device = {{}};
	device_of(skb, &device);
	flow.class_id = class_of(skb);
	flow_of(skb, &flow);
{_passing(wanted)}{_shortened(by_flow)}	key.place = {told.read("location")};
	key.reason = {told.read("reason")};
	key.device = device;
	key.flow = flow;
	found.increment(key);
	return 0;
}}
"""


def _sojourn(kernel: Kernel, wanted: Filter, by_flow: bool) -> str:
    enters, leaves = kernel.formats["qdisc:qdisc_enqueue"], kernel.formats["qdisc:qdisc_dequeue"]
    return f"""{_packet(kernel)}
BPF_TABLE("lru_hash", u64, u64, began, 65536);
BPF_HASH(found, struct wait_t, u64, 8192);
int on_qdisc_enqueue(void *args)
{{
	u64 skb = {enters.read("skbaddr")}, now = bpf_ktime_get_ns();
	began.update(&skb, &now);
	return 0;
}}
int on_qdisc_dequeue(void *args)
{{
	u64 skb = {leaves.read("skbaddr")};
	u64 *since = began.lookup(&skb);
	struct wait_t key = {{}};
	struct flow_t flow = {{}};
	struct device_t device = {{}};
	u64 micros;
	if (!since)
		return 0;
	micros = (bpf_ktime_get_ns() - *since) / 1000;
	began.delete(&skb);
	device_of(skb, &device);
	flow.class_id = class_of(skb);
	flow_of(skb, &flow);
{_passing(wanted)}{_shortened(by_flow)}	key.flow = flow;
	key.device = device;
	key.slot = micros ? bpf_log2l(micros) : 0;
	found.increment(key);
	return 0;
}}
"""


def _retransmits(kernel: Kernel, wanted: Filter, _by_flow: bool) -> str:
    told = kernel.formats["tcp:tcp_retransmit_skb"]
    small, large = (told.place(f"saddr{ending}").offset for ending in ("", "_v6"))
    small_to, large_to = (told.place(f"daddr{ending}").offset for ending in ("", "_v6"))
    return f"""
BPF_HASH(found, struct flow_t, u64, 8192);
int on_tcp_retransmit_skb(void *args)
{{
	struct flow_t flow = {{}};
	flow.family = {told.read("family")} == 2 ? 4 : 6;
	flow.protocol = 6;
	flow.class_id = {NO_CLASS};
	flow.from_port = {told.read("sport")};
	flow.to_port = {told.read("dport")};
	if (flow.family == 4) {{
		bpf_probe_read_kernel(flow.from, 4, (char *)args + {small});
		bpf_probe_read_kernel(flow.to, 4, (char *)args + {small_to});
	}} else {{
		bpf_probe_read_kernel(flow.from, 16, (char *)args + {large});
		bpf_probe_read_kernel(flow.to, 16, (char *)args + {large_to});
	}}
{_passing(Filter(port=wanted.port))}	found.increment(flow);
	return 0;
}}
"""


def _resizes(kernel: Kernel, wanted: Filter, _by_flow: bool) -> str:
    """Requests to change queues go through netlink: their first bytes say so. Limits of tier A are map entries."""
    sent, gathered, bpf = (kernel.formats[event] for event in EVENTS["resizes"])
    other = f"\tif (request.ifindex != {wanted.ifindex})\n\t\treturn 0;\n" if wanted.ifindex else ""
    return f"""
BPF_HASH(found, struct call_t, u64, 8192);
struct request_t {{
	u32 length; u16 type; u16 flags; u32 seq; u32 port;
	u8 family; u8 pad[3]; u32 ifindex; u32 handle;
}};
static __always_inline int asked(u64 buffer, u64 length)
{{
	struct request_t request = {{}};
	struct call_t key = {{}};
	if (length < sizeof(request) || bpf_probe_read_user(&request, sizeof(request), (void *)buffer))
		return 0;
	if (request.length > length || request.length < sizeof(request) || !(request.flags & 1))
		return 0;
	if (request.type != 36 && request.type != 37 && request.type != 40 && request.type != 41)
		return 0;
{other}	bpf_get_current_comm(key.who, sizeof(key.who));
	key.pid = bpf_get_current_pid_tgid() >> 32;
	key.what = request.type;
	key.ifindex = request.ifindex;
	key.handle = request.handle;
	found.increment(key);
	return 0;
}}
int on_sys_enter_sendto(void *args)
{{
	return asked({sent.read("buff")}, {sent.read("len")});
}}
int on_sys_enter_sendmsg(void *args)
{{
	u64 message = {gathered.read("msg")}, vector = 0, buffer = 0, length = 0;
	bpf_probe_read_user(&vector, 8, (void *)(message + 16));
	bpf_probe_read_user(&buffer, 8, (void *)vector);
	bpf_probe_read_user(&length, 8, (void *)(vector + 8));
	return asked(buffer, length);
}}
int on_sys_enter_bpf(void *args)
{{
	struct call_t key = {{}};
	if ((u32){bpf.read("cmd")} != 2 || {wanted.ifindex})
		return 0;
	bpf_get_current_comm(key.who, sizeof(key.who));
	key.pid = bpf_get_current_pid_tgid() >> 32;
	found.increment(key);
	return 0;
}}
"""
