"""TensorFlow's noisy start."""

import os
import sys
import tempfile
import warnings

from seq2seq.cli.console import warn


def load_tensorflow() -> None:
    """Import TensorFlow and wake its devices without the lines that it writes to stderr at that moment.

    Nothing is lost when it fails: what it wrote is printed then. That a GPU is there and not used is a warning.
    """
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as captured, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")  # shown below: stderr is captured now
        os.dup2(captured.fileno(), 2)
        try:
            from seq2seq.devices.device import DeviceWarning, find_device

            find_device()
        except BaseException:
            captured.seek(0)
            os.write(real, captured.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)
    for warning in caught:
        if issubclass(warning.category, DeviceWarning):
            warn(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
