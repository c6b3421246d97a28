"""Real Kubernetes for tests: a bare control plane, and whole clusters behind one interface."""
