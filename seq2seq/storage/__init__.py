"""Files that are written atomically and verified when read; locks; streams, pipes and descriptors."""
