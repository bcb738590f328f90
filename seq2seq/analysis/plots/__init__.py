"""Figures of what `seq2seq.analysis` finds of cells and translations; each function returns a matplotlib `Figure`."""

import sys
from contextlib import suppress

from seq2seq.extras import require_extra

if "IPython" in sys.modules:
    with (
        require_extra("analysis", needed_by=__name__),
        suppress(ModuleNotFoundError),
    ):  # a module of this folder says it
        from matplotlib import get_backend, pyplot

        # Notebooks show figures once the backend is loaded, which pyplot defers until it draws a figure itself.
        pyplot.switch_backend(get_backend())
