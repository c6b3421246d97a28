"""What whoever loads the agent's object must know of it beyond its types."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .object import Object, Options, load

# Indexed by cpu x (cells of one CPU): the counters that are read without a system call.
SHARDED: Final = frozenset(
    {"sn_cells", "sn_flow_sums", "sn_out_cells", "sn_reasons", "sn_shapes", "sn_sojourn", "sn_top", "sn_unsaid"}
)
# Evictions are what entered less what is there, so that a table of another size needs a count of its own.
FOLLOWS: Final = {"sn_flow_sums": "sn_flows"}


def load_agent(
    path: Path,
    *,
    rodata: Mapping[str, Any] | None = None,
    max_entries: Mapping[str, int] | None = None,
    programs: frozenset[str] | None = None,
    pins: Path | None = None,
) -> Object:
    """agent.bpf.o with its counters sized for this machine's CPUs; maps pinned by an earlier agent are taken over."""
    return load(
        path,
        Options(
            rodata=rodata or {},
            max_entries=max_entries or {},
            sharded=SHARDED,
            programs=programs,
            pins=pins,
            replace_pins=True,
            follows=FOLLOWS,
        ),
    )
