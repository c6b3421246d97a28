"""The Python bank of the kernel border: mechanism, never policy."""
