"""`seq2seq quantize`."""

from pathlib import Path
from typing import Annotated

import typer


def quantize(model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model directory.")]) -> None:
    """Store the decoder with 8-bit weights, for faster decoding on the CPU with --int8."""
    from seq2seq.cli.console import stderr
    from seq2seq.cli.startup import load_tensorflow
    from seq2seq.model_directory.model import load_model

    load_tensorflow()
    from seq2seq.inference.int8 import DECODER_FILE, quantize_decoder

    network, _, _ = load_model(model)
    with stderr.status("quantizing the decoder"):
        quantize_decoder(network, model)
    typer.echo(f"{model}/{DECODER_FILE}: use it with seq2seq translate {model} --int8")
