"""A node's queues in virtual time, under the same rules and the same product code as the testbed of namespaces."""
