"""Translation of large files: in chunks, in shards on several machines, or on Apache Beam."""
