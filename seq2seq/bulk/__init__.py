"""Files of text translated, however many lines: rows of output, shards of a file, the same job on Apache Beam."""
