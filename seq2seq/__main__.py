"""Entry point of `seq2seq` and `python -m seq2seq`."""

import sys


def main() -> None:
    """Run a command, see `seq2seq.cli.main`; Ctrl-C during its import is handled here."""
    try:
        from seq2seq.cli import main as run
    except KeyboardInterrupt:
        print("interrupted; nothing has been done or saved yet: the same command starts again", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
