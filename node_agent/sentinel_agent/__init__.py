"""The node agent: observe, predict, decide, act, report, every 100 ms."""
