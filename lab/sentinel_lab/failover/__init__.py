"""What users notice when a buffer node dies behind the balancer, stands still, or comes back, to the packet."""
