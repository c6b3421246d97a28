"""The only writers of kernel state."""
