"""The only writers: what was decided goes into the kernel's tables."""
