"""The node agent: observe, predict, decide, act, report and learn, every 100 ms."""
