"""Shared by the tests that run the agent's BPF programs."""
