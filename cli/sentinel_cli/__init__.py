"""The `sentinel` command, which is also `kubectl sentinel`."""
