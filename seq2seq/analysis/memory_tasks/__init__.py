"""Experiments on how long a recurrent network remembers."""
