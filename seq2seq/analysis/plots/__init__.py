"""Figures of what `seq2seq.analysis` finds, one module a topic; every function returns a matplotlib `Figure`."""
