"""Experiments on the memory span of recurrent networks."""
