"""The leaves of tier B on this kernel, and what its queue does to packets that come in."""

from __future__ import annotations

from netns.test_buffer import (  # noqa: F401
    plane,
    test_a_packet_waits_in_the_class_that_xdp_gave_it,
    test_growing_and_shrinking_under_load_lose_nothing_that_stands_in_the_queue,
    test_past_its_lease_traffic_takes_the_queue_no_more,
    test_the_stack_gets_packets_with_the_priority_they_came_with,
    wires,
)
from netns.test_buffer_leaves import (  # noqa: F401
    buffer,
    out,
    test_a_class_that_went_is_gone_from_the_kernel_once_it_is_empty,
    test_frames_that_grow_while_the_queue_stands_are_not_refused_for_long,
    test_the_leafs_own_limit_moves_with_every_resize,
    test_what_the_kernel_took_of_a_resize_is_known_where_it_refused_the_rest,
)
