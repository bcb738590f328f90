"""`seq2seq tokenizer train|encode|decode`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from seq2seq.cli.arguments import InputFile, OutputFile, TextArguments
from seq2seq.cli.console import input_place, output_place, print_stderr, progress_bar, stderr, warn
from seq2seq.cli.options import section_from_flags
from seq2seq.cli.texts import check_texts, texts_or_input
from seq2seq.config import TokenizerConfig
from seq2seq.corpora.lines import read_lines
from seq2seq.errors import TokenizerError
from seq2seq.inference.summary import UnknownCharacters
from seq2seq.storage.files import STDIN, STDOUT
from seq2seq.storage.streams import check_inputs, check_output, open_output

CHUNK_LINES = 1000  # lines converted before they are written

app = typer.Typer(help="Train and use SentencePiece tokenizers.", no_args_is_help=True)

ModelFile = Annotated[Path, typer.Argument(metavar="MODEL.spm", help="A SentencePiece model.")]
Ids = Annotated[bool, typer.Option("--ids", help="Use token ids instead of pieces.")]


@app.command("train")
def train(
    texts: Annotated[
        list[Path],
        typer.Argument(
            parser=input_place,
            metavar="TEXT...",
            help="Files with one sentence per line, compressed or not; - is stdin.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=output_place, metavar="MODEL.spm", help="File for the tokenizer.")
    ],
    vocabulary_size: Annotated[
        int,
        typer.Option(help="Number of pieces, including the four special ones, or the nearest that the text allows."),
    ] = 8000,
    exact_size: Annotated[bool, typer.Option("--exact-size", help="Require exactly --vocabulary-size pieces.")] = False,
    model_type: Annotated[str, typer.Option(help="Subword algorithm: unigram, bpe or char.")] = "unigram",
    character_coverage: Annotated[
        float, typer.Option(help="Share of the characters of TEXT that the vocabulary covers.")
    ] = 1.0,
    byte_fallback: Annotated[bool, typer.Option("--byte-fallback", help="Encode unknown characters as bytes.")] = False,
    split_digits: Annotated[bool, typer.Option("--split-digits", help="Make each digit a piece.")] = False,
    user_defined_symbols: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="String that is always a single piece; repeatable.")
    ] = None,
    normalization: Annotated[
        str, typer.Option(help="SentencePiece's normalisation after cleaning: identity or nmt_nfkc.")
    ] = "identity",
) -> None:
    """Train a tokenizer on text, or a joint one on several files."""
    from seq2seq.data.tokenizer import Tokenizer

    values = {
        "model_type": model_type,
        "vocabulary_size": vocabulary_size,
        "exact_size": exact_size,
        "character_coverage": character_coverage,
        "byte_fallback": byte_fallback,
        "split_digits": split_digits,
        "user_defined_symbols": tuple(user_defined_symbols or ()),
        "normalization": normalization,
    }
    config = section_from_flags(TokenizerConfig, values)
    check_inputs(texts)
    check_output(output, inputs=texts)
    with stderr.status("training the tokenizer"):
        tokenizer = Tokenizer.train((line for text in texts for line in read_lines(text)), config, warn)
    with open_output(output, inputs=texts) as target:
        target.buffer.write(tokenizer.model)


@app.command("encode")
def encode(
    model: ModelFile,
    texts: TextArguments = None,
    input_file: InputFile = None,
    output_file: OutputFile = None,
    ids: Ids = False,
) -> None:
    """Encode text as pieces separated by spaces. Unknown characters become <unk> and are listed on stderr."""
    from seq2seq.data.tokenizer import Tokenizer

    tokenizer, unknown = Tokenizer.load(model), UnknownCharacters()

    def convert(line: str, number: int) -> str:
        token_ids = tokenizer.encode(line)
        if tokenizer.unk_id in token_ids:
            unknown.add(number, tokenizer.unknown_characters(line))
        return " ".join(map(str, token_ids) if ids else tokenizer.pieces(token_ids))

    _each_line(model, texts, input_file, output_file, convert, "a sentence")
    if said := unknown.describe("tokenizer"):
        print_stderr(said)


@app.command("decode")
def decode(
    model: ModelFile,
    texts: TextArguments = None,
    input_file: InputFile = None,
    output_file: OutputFile = None,
    ids: Ids = False,
) -> None:
    """Decode pieces separated by spaces to text."""
    from seq2seq.data.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(model)

    def convert(line: str, number: int) -> str:
        if not ids:
            return tokenizer.decode(tokenizer.ids([piece for piece in line.split(" ") if piece]))
        try:
            token_ids = [int(word) for word in line.split()]
        except ValueError:
            raise TokenizerError(f"expected numbers separated by spaces, found {line!r}. Leave out --ids?") from None
        return tokenizer.decode(token_ids)

    _each_line(model, texts, input_file, output_file, convert, "ids" if ids else "pieces")


def _each_line(
    model: Path,
    texts: Sequence[str] | None,
    input_file: Path | None,
    output_file: Path | None,
    convert: Callable[[str, int], str],
    what: str,
) -> None:
    check_texts(texts, input_file)
    place, output = input_file or STDIN, output_file or STDOUT
    inputs = [] if texts else [place]
    check_inputs(inputs)
    check_output(output, inputs=[model, *inputs])
    with (
        texts_or_input(texts, place, f"Type {what} and press Enter") as source,
        open_output(output) as target,
        progress_bar(source.name, None, hidden=source.typed or target.isatty()) as advance,
    ):

        def converted(line: str, number: int) -> str:
            try:
                return convert(line, number)
            except TokenizerError as error:
                raise TokenizerError(f"{source.name}:{number}: {error}") from None

        done = 0
        for lines in source.chunks(CHUNK_LINES, converted):
            target.writelines(f"{line}\n" for line in lines)
            target.flush()
            done += len(lines)
            advance(done)
