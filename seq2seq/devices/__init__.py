"""What a model computes on: devices, replicas, determinism and memory."""
