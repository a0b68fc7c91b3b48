"""Loops: offline, online, evaluation; checkpoints, metrics, progress."""
