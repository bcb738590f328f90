"""Public corpora: catalogue, download, unpack, split."""
