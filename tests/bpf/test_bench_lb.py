"""The balancer's benchmark: a change of members breaks no more than is promised, and it times the way it names."""

from sentinel_lab.bench import lb, lb_live, lb_loop, lb_parts


def test_when_one_of_a_hundred_goes_few_new_flows_move_and_no_known_one(built):
    found = lb.disruption()
    assert 0 < found["moved_percent"] <= 2
    assert found["broken_percent"] == 0


def test_the_loop_times_known_flows_and_nothing_else(built):
    kind = lb_loop.Kind("known TCP", lb_loop.bpf_frames.PLAIN4, 64)
    figure, row = lb.timed(kind, rounds=1)
    assert row["usual way"] == "KNOWN"
    assert figure["p50"] > 0


def test_connections_that_talk_are_known_after_every_burst_of_a_flood_of_real_frames(built):
    assert lb_live.flooded(rounds=2)["flood_kept_percent"] == 100


def test_live_frames_are_of_a_known_flow_or_refused(built):
    assert lb_live.against_the_kernel(rounds=1)["ns_live_lb"] > 0


def test_what_a_packet_asks_of_the_kernel_is_timed_by_itself(built):
    found = lb_parts.parts(rounds=1)
    assert found.keys() == lb_parts.ASKED.keys()
    assert found["part_ns_flow_64k"] > 0
