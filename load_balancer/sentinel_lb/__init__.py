"""The balancer: new flows go where the room is, known flows stay where they were."""
