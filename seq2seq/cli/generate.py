"""`seq2seq generate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from seq2seq.cli.options import flag, search_options, with_search_options
from seq2seq.config import GenerationOptions
from seq2seq.config.precision import Precision


@with_search_options("sample", section=GenerationOptions)
def generate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The directory of a language model.")],
    prompt: Annotated[
        str, typer.Option(metavar="TEXT", help="Beginning of each text; end it at a word boundary.")
    ] = "",
    precision: Annotated[
        Precision, typer.Option(help="All but float32 are for speed on a GPU, see seq2seq translate.")
    ] = "float32",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Texts, one per line; stdout by default.")
    ] = None,
    *,
    search: dict[str, Any],
) -> None:
    """Generate text with a language model.

    Texts are sampled; with --beam-size, found by beam search. --n-best sets their number, 1 by default. --min-length
    and --max-length count the tokens after the prompt, EOS included; --max-length is 100 unless the recipe says
    otherwise.

    Other search options that are not given are taken from the recipe.
    """
    from seq2seq.cli.startup import load_tensorflow
    from seq2seq.cli.text_files import check_output, open_output

    check_search(search)
    if output is not None:
        check_output(output)
    load_tensorflow()
    from seq2seq.inference.text_generator import TextGenerator

    generator = TextGenerator.load(model, precision)
    options = search_options(generator.options, {**search, "sample": "beam_size" not in search})
    written = generator.generate(prompt, options)
    with open_output(output) as handle:
        handle.writelines(f"{hypothesis.text}\n" for hypothesis in written)


def check_search(search: Mapping[str, Any]) -> None:
    """Check that the options can be combined with --beam-size, if that is given.

    Raises:
        ConfigError: --n-best is above it, or an option of sampling is given.
    """
    from seq2seq.errors import ConfigError

    if "beam_size" not in search:
        return
    size, n_best = search["beam_size"], search.get("n_best", 1)
    if n_best > size:
        raise ConfigError(f"--n-best {n_best}: a search with --beam-size {size} finds at most {size} texts.")
    for key in ("temperature", "top_k", "top_p", "seed"):
        if key in search:
            raise ConfigError(
                f"{flag(key)} {search[key]}: is for sampling texts, and --beam-size {size} searches for them. Leave "
                "one out."
            )
