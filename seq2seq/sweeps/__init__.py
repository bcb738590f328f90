"""Sweeps: queues of runs of one recipe with different values of some keys, and several seeds."""
