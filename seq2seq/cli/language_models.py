"""`seq2seq generate|perplexity`: commands for language models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from seq2seq.cli.arguments import AsJson, ComputePrecision, InputFile, OutputFile, TextArguments
from seq2seq.cli.console import (
    import_tensorflow,
    print_stdout,
    progress_bar,
    warn,
    write_json,
)
from seq2seq.cli.options import flag, load_recipe_and_options, with_search_options
from seq2seq.cli.texts import check_texts, texts_or_input
from seq2seq.config import GenerationOptions, LanguageModelConfig
from seq2seq.errors import ConfigError
from seq2seq.model_directory.pretrained import find_model
from seq2seq.plurals import pluralize
from seq2seq.storage.files import STDIN, STDOUT
from seq2seq.storage.streams import check_inputs, check_output, open_output

LanguageModel = Annotated[
    Path, typer.Argument(parser=find_model, metavar="MODEL", help="The directory of a language model.")
]


@with_search_options("sample", section=GenerationOptions)
def generate(
    model: LanguageModel,
    prompt: Annotated[
        str, typer.Option(metavar="TEXT", help="Beginning of each text, which should end with a whole word.")
    ] = "",
    precision: ComputePrecision = "float32",
    output: OutputFile = None,
    *,
    search: dict[str, Any],
) -> None:
    """Generate text with a language model.

    Texts are sampled, or found by beam search if --beam-size is given, and written one per line. --n-best sets their
    number, 1 by default.
    --min-length and --max-length count the tokens after the prompt, EOS included; --max-length is 100 unless the recipe
    sets it.

    Other search options default to the values in the recipe.
    """
    _check_search(search)
    check_output(output or STDOUT)
    given = {**search, "sample": "beam_size" not in search}
    _, options = load_recipe_and_options(model, LanguageModelConfig, given)
    import_tensorflow()
    from seq2seq.inference.text_generator import TextGenerator

    generator = TextGenerator.load(model, precision)
    written = generator.generate(prompt, options)
    with open_output(output or STDOUT) as handle:
        handle.writelines(f"{hypothesis.text}\n" for hypothesis in written)


def _check_search(search: Mapping[str, Any]) -> None:
    """Reject an --n-best above --beam-size, and sampling options together with --beam-size."""
    if "beam_size" not in search:
        return
    size, n_best = search["beam_size"], search.get("n_best", 1)
    if n_best > size:
        raise ConfigError(
            f"--n-best {n_best}: a search with --beam-size {size} finds at most {pluralize(size, 'text')}."
        )
    for key in ("temperature", "top_k", "top_p", "seed"):
        if key in search:
            raise ConfigError(
                f"{flag(key)} {search[key]}: is for sampling, but --beam-size {size} selects beam search. Leave out "
                "one of them."
            )


def perplexity(
    model: LanguageModel,
    texts: TextArguments = None,
    input_file: InputFile = None,
    precision: ComputePrecision = "float32",
    as_json: AsJson = False,
) -> None:
    """Measure how well a language model predicts text: perplexity per token and per word, bits per character.

    Perplexity per word and bits per character are comparable between models with different tokenizers; perplexity per
    token is not. Blank lines are skipped.
    """
    from seq2seq.model_directory.directory import load_recipe

    check_texts(texts, input_file)
    source = input_file or STDIN
    check_inputs([] if texts else [source])
    load_recipe(model, LanguageModelConfig)  # a wrong folder is an error before TensorFlow is loaded
    import_tensorflow()
    from seq2seq.inference.text_generator import TextGenerator

    generator = TextGenerator.load(model, precision, on_warning=warn)
    with texts_or_input(texts, source, "Type sentences, one per line") as read:
        lines = list(read)
    with progress_bar(f"measuring {read.name}", len(lines)) as advance:
        report = generator.perplexity(lines, on_progress=advance)
    if as_json:
        write_json(report.as_dict())
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_row("perplexity per token", f"{report.per_token:.2f}")
    table.add_row("perplexity per word", f"{report.per_word:.2f}")
    table.add_row("bits per character", f"{report.bits_per_character:.3f}")
    Console().print(table)
    print_stdout(
        f"{pluralize(report.sentences, 'sentence')} of {pluralize(report.tokens, 'token')} ({report.unknown_tokens:,} "
        f"unknown), {pluralize(report.words, 'word')}, "
        f"{pluralize(report.characters, 'character')}, sentence ends included"
    )
