"""Tests below inside/ and rivals/ belong to a guest: the lane collects them there, never this machine's pytest."""

collect_ignore = ["inside", "rivals"]
