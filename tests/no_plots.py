"""Import this before Keras in programs that draw nothing.

Keras imports scikit-learn and Matplotlib where they are installed, which takes a third of the time of its own import.
"""

import sys

for _package in ("sklearn", "matplotlib"):
    sys.modules.setdefault(_package, None)  # type: ignore[arg-type]
