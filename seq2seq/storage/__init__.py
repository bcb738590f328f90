"""Files, written whole or not at all and checked when read; locks; streams, pipes and descriptors."""
