"""`sentinel top`: the classes of running agents, live in a terminal."""
