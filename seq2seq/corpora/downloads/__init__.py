"""Public corpora: a catalogue, downloads, archives and splits."""
