"""The vocabulary: every type that crosses a process border, defined once."""
