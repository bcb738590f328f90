"""The parts of the GPU check, one a file. Each has `run(check)`, which returns what goes into the report."""
