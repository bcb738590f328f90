"""Analysis of models and translations: functions that return arrays or data frames, and `plots` that draws them."""
