"""Devices, replicas, determinism and memory."""
