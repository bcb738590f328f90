"""Plots of the results of `seq2seq.analysis`; each function returns a `Figure` of Matplotlib (`figure.py`)."""

import sys
from contextlib import suppress

from seq2seq.extras import require_extra

if "IPython" in sys.modules:
    with (
        require_extra("analysis", needed_by=__name__),
        suppress(ModuleNotFoundError),
    ):  # the modules of this folder raise the error
        from matplotlib import get_backend, pyplot

        # Notebooks show figures once the backend is loaded, which pyplot defers until it draws a figure itself.
        pyplot.switch_backend(get_backend())
