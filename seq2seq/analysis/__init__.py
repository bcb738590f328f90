"""Looking inside: plain functions that return arrays or data frames; `plots` draws them."""
