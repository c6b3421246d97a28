"""The VM lane: tests of this tree, run inside other kernels than the machine's own."""
