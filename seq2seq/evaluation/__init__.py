"""Evaluation of translations: metrics, comparison of systems, baselines and checks of the texts."""

BOOTSTRAP_SAMPLES, RANDOMIZATION_TRIALS = 1000, 10_000  # of intervals and tests, as in sacreBLEU
