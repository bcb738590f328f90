"""The parts of the GPU check, one per file. Each has `run(check)`, which returns its section of the report."""
