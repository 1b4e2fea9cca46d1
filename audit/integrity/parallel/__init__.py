"""Stretches of the log reread ahead of the replay, in other processes."""
