"""What the data plane does to packets, on kernels that find other paths through it and lay out packets differently."""

from __future__ import annotations

import pytest

from bpf.conftest import BPF, bpffs, load, namespace, veth  # noqa: F401
from bpf.test_decap import test_a_strangers_tunnel_is_traffic_like_any_other  # noqa: F401
from bpf.test_egress import (  # noqa: F401
    out,
    test_an_answer_has_the_class_and_completes_the_round_trip_of_the_flow_it_answers,
    test_an_answer_keeps_the_flows_dscp_also_when_the_rules_are_new,
    test_what_answers_no_known_flow_asks_the_rules_once,
)
from bpf.test_egress_live import (  # noqa: F401
    test_headers_that_lie_in_pieces_are_put_together,
    test_tcps_packets_are_read_where_they_lie,
)
from bpf.test_police import test_the_first_packet_after_a_silence_is_not_signalled  # noqa: F401
from bpf.test_senders import test_a_flow_that_falls_silent_leaves_few_packets_untold  # noqa: F401
from support.data_plane.fixture import kept_planes, load_plane, plane  # noqa: F401


@pytest.fixture(scope="session")
def built():
    """The guest has no compiler."""
    return BPF / "build"
