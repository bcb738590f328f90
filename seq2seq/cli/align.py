"""`seq2seq align`."""

from pathlib import Path
from typing import Annotated

import typer

from seq2seq.cli.arguments import OutputFile, SourceFile, TargetFile
from seq2seq.cli.console import import_tensorflow, input_place, progress_bar, stderr, warn
from seq2seq.cli.pairs import CHUNK_PAIRS
from seq2seq.config import TranslationConfig
from seq2seq.corpora.chunks import chunks
from seq2seq.corpora.readers import AlignedFiles
from seq2seq.inference.alignment import DEFAULT_SYMMETRIZATION, SYMMETRIZATIONS, Symmetrization, to_pharaoh
from seq2seq.model_directory.pretrained import find_model
from seq2seq.storage.files import STDOUT
from seq2seq.storage.streams import check_inputs, check_output, open_output


def align(
    model: Annotated[
        Path | None,
        typer.Argument(
            parser=find_model,
            metavar="[MODEL]",
            help="A model with attention; with --ibm1, a model whose tokens are aligned instead of words.",
            show_default=False,
        ),
    ] = None,
    source: SourceFile = None,
    target: TargetFile = None,
    ibm1: Annotated[bool, typer.Option("--ibm1", help="Align with IBM model 1, learnt from the text.")] = False,
    more_source: Annotated[
        Path | None, typer.Option(parser=input_place, metavar="FILE", help="Further text for --ibm1 to learn from.")
    ] = None,
    more_target: Annotated[
        Path | None, typer.Option(parser=input_place, metavar="FILE", help="Translations of --more-source.")
    ] = None,
    reverse: Annotated[
        Path | None,
        typer.Option(
            parser=find_model,
            metavar="MODEL2",
            help="A model of the reverse direction, for the links of the backward direction.",
        ),
    ] = None,
    method: Annotated[
        Symmetrization,
        typer.Option(
            "--symmetrize",
            metavar="NAME",
            help=f"Combination of the links of both directions: {', '.join(SYMMETRIZATIONS)}.",
        ),
    ] = DEFAULT_SYMMETRIZATION,
    tokenized: Annotated[
        bool, typer.Option("--tokenized", help="White space alone delimits words: punctuation stays with its word.")
    ] = False,
    output: OutputFile = None,
) -> None:
    """Align the words of sentence pairs using the attention of a model or IBM model 1.

    The output has a line per pair, such as 0-0 1-2: word numbers from 0, the source word first.

    With a MODEL, links follow its attention while it reads the target. With --ibm1, they follow the probabilities of
    IBM model 1, which is learnt from the text itself and needs at least a few thousand pairs, here or in --more-source
    and --more-target.
    """
    if source is None or target is None:
        raise typer.BadParameter("give --source FILE and --target FILE")
    if model is None and not ibm1:
        raise typer.BadParameter("give a MODEL, or --ibm1")
    if ibm1 and reverse is not None:
        raise typer.BadParameter("--reverse is for attention; --ibm1 learns both directions from the text")
    if (more_source is None) != (more_target is None) or (more_source is not None and not ibm1):
        raise typer.BadParameter("--more-source and --more-target are for --ibm1, and belong together")
    inputs = [file for file in (source, target, more_source, more_target) if file is not None]
    check_inputs(inputs)
    check_output(output or STDOUT, inputs=inputs)
    pairs = AlignedFiles(source, target)
    if ibm1:
        from seq2seq.inference.lexical_aligner import align_by_ibm1
        from seq2seq.model_directory.directory import load_tokenizers, verify_directory

        tokenizers = None
        if model is not None:
            verify_directory(model)
            tokenizers = load_tokenizers(model)
        further = list(AlignedFiles(more_source, more_target)) if more_source and more_target else []
        with stderr.status("learning IBM model 1"):
            links = align_by_ibm1(list(pairs), method, further=further, tokenizers=tokenizers, tokenized=tokenized)
        aligned = iter([links])
    else:
        from seq2seq.model_directory.directory import load_recipe

        for folder in filter(None, (model, reverse)):
            load_recipe(folder, TranslationConfig)  # a wrong folder is an error before TensorFlow is loaded
        import_tensorflow()
        from seq2seq.inference.aligner import AttentionAligner
        from seq2seq.inference.translator import Translator

        loaded = [Translator.load(folder, on_warning=warn) for folder in (model, reverse) if folder is not None]
        aligner = AttentionAligner(*loaded)
        aligned = (aligner.align(chunk, method, tokenized=tokenized) for chunk in chunks(pairs, CHUNK_PAIRS))
    with (
        open_output(output or STDOUT, inputs=inputs) as handle,
        progress_bar("aligning", None, hidden=handle.isatty()) as advance,
    ):
        done = 0
        for part in aligned:
            handle.writelines(f"{to_pharaoh(links)}\n" for links in part)
            handle.flush()
            done += len(part)
            advance(done)
