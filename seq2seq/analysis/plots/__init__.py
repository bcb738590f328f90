"""Figures of what `seq2seq.analysis` finds of cells and translations; each function returns a matplotlib `Figure`."""
