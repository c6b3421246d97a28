"""The buffer: a queue whose limits move while packets stand in it, in three tiers behind one interface."""
