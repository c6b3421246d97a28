"""State and liveness between nodes: a thin typed layer over Eclipse Zenoh, which only `engine` imports."""
