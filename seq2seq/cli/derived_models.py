"""`seq2seq average|calibrate|quantize|shortlist`: models and files derived from a trained model."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from seq2seq.cli.arguments import Model, TargetFile
from seq2seq.cli.console import import_tensorflow, input_place, print_stdout, stderr
from seq2seq.cli.next_steps import next_commands
from seq2seq.model_directory.pretrained import find_model, refuse_pretrained
from seq2seq.storage.streams import check_inputs


def average(
    model: Annotated[Path, typer.Argument(parser=find_model, metavar="DIR", help="The model directory of a run.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR2", help="New directory for the average.")],
    last: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Average the weights of the N most recent validations.")
    ] = None,
    best: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Average the weights of the N best validations.")
    ] = None,
) -> None:
    """Average the weights of several validations of a run into a new model.

    Training keeps the weights of the most recent validations (training.keep_last of them) and of the best ones by
    validation.metric (training.keep_best).
    """
    if (last is None) == (best is None):
        raise typer.BadParameter("give either --last N or --best N")
    from seq2seq.model_directory.directory import load_model_config, verify_directory

    verify_directory(model)  # a wrong folder is an error before TensorFlow is loaded
    import_tensorflow()
    from seq2seq.training.averaging import average_checkpoints

    validations = average_checkpoints(model, output, last=last, best=best)
    table = Table("update", "epoch", "valid loss", "BLEU", title="Averaged", title_justify="left", box=None)
    for about in validations:
        bleu = "" if about["bleu"] is None else f"{about['bleu']:.2f}"
        table.add_row(f"{about['update']:,}", str(about["epoch"]), f"{about['loss']:.3f}", bleu)
    Console().print(table)
    print_stdout(next_commands(load_model_config(output), output))


def calibrate(
    model: Model,
    source: Annotated[
        Path | None, typer.Option(parser=input_place, metavar="FILE", help="Source text. Default: validation corpus.")
    ] = None,
    target: TargetFile = None,
    test_source: Annotated[
        Path | None, typer.Option(parser=input_place, metavar="FILE", help="Further source text, only to measure.")
    ] = None,
    test_target: Annotated[
        Path | None, typer.Option(parser=input_place, metavar="FILE", help="Translations of --test-source.")
    ] = None,
) -> None:
    """Fit a temperature that makes probabilities match accuracy, for --confidence.

    It minimises the mean negative log-likelihood of the tokens of text that the model was not trained on, and is stored
    in the model directory. A table shows the calibration before and after: accuracy and mean confidence of the most
    likely next token, and the expected calibration error in 15 bins of equal mass.
    """
    from seq2seq.config import TranslationConfig
    from seq2seq.corpora.held_out import open_train, open_valid
    from seq2seq.corpora.readers import AlignedFiles
    from seq2seq.model_directory.derived_files import CALIBRATION_FILE
    from seq2seq.model_directory.directory import WEIGHTS_FILE, checksums, load_recipe

    given = [(source, target), (test_source, test_target)]
    if any((one is None) != (other is None) for one, other in given):
        raise typer.BadParameter("give both --source and --target, or neither; likewise for the test text")
    check_inputs([file for pair in given for file in pair if file is not None])
    refuse_pretrained(model)
    config = load_recipe(model, TranslationConfig)
    made_from = checksums(model)[WEIGHTS_FILE]  # before the weights are read: training may replace them at any time
    texts = [AlignedFiles(*pair) if None not in pair else None for pair in given]  # type: ignore[arg-type]
    pairs = list(texts[0] or open_valid(config.corpora, open_train(config.corpora)))
    import_tensorflow()
    from seq2seq.inference.calibration import save_calibration
    from seq2seq.inference.translator import Translator

    translator = Translator.load(model)
    with stderr.status("fitting the temperature"):
        found = translator.calibrate(pairs)
        rows = {"text": (found.before, found.after)}
        if texts[1] is not None:
            test = list(texts[1])
            sources, targets = (
                tokenizer.encode_batch([pair[side] for pair in test])
                for side, tokenizer in enumerate(translator.tokenizers)
            )
            before, after = (
                translator.temperature_scaling.score(sources, targets, temperature)
                for temperature in (1.0, found.temperature)
            )
            rows["test text"] = before, after
    save_calibration(model, found, made_from)
    columns = [Column(name, justify="right") for name in ("temperature", "accuracy", "confidence", "error", "NLL")]
    table = Table("", "tokens", *columns, box=None, pad_edge=False)
    for name, both in rows.items():
        for temperature, one in zip((1.0, found.temperature), both, strict=True):
            shares = (f"{100 * value:.2f}%" for value in (one.accuracy, one.confidence, one.calibration_error))
            table.add_row(name, f"{one.tokens:,}", f"{temperature:.4f}", *shares, f"{one.nll:.4f}")
    Console().print(table)
    print_stdout(f"{model / CALIBRATION_FILE}: use it with seq2seq translate {model} --confidence --format jsonl")


def quantize(model: Model) -> None:
    """Store the decoder with 8-bit weights, for faster decoding on the CPU with --int8."""
    from seq2seq.config import TranslationConfig
    from seq2seq.model_directory.derived_files import DECODER_FILE
    from seq2seq.model_directory.directory import WEIGHTS_FILE, checksums, load_recipe

    refuse_pretrained(model)
    load_recipe(model, TranslationConfig)
    made_from = checksums(model)[WEIGHTS_FILE]  # before the weights are read: training may replace them at any time
    import_tensorflow()
    from seq2seq.inference.int8 import quantize_decoder
    from seq2seq.model_directory.model import load_model

    network, _, _ = load_model(model)
    with stderr.status("quantizing the decoder"):
        quantize_decoder(network, model, made_from)
    print_stdout(f"{model}/{DECODER_FILE}: use it with seq2seq translate {model} --int8")


def shortlist(
    model: Model,
    source: Annotated[
        Path | None,
        typer.Option(parser=input_place, metavar="FILE", help="Source text. Default: the model's training corpus."),
    ] = None,
    target: TargetFile = None,
) -> None:
    """Learn the likely target tokens of each source token, for faster decoding with --shortlist N.

    The candidates are learnt with IBM model 1 and stored in the model directory.
    """
    from seq2seq.config import FilterConfig, TranslationConfig
    from seq2seq.corpora import Corpus
    from seq2seq.corpora.held_out import open_train
    from seq2seq.corpora.readers import AlignedFiles
    from seq2seq.inference.shortlist import learn_shortlist, save_shortlist
    from seq2seq.model_directory.derived_files import SHORTLIST_FILE
    from seq2seq.model_directory.directory import load_recipe, load_tokenizers, verify_directory

    if (source is None) != (target is None):
        raise typer.BadParameter("give both --source and --target, or neither")
    corpora: list[Corpus] = []
    if source is not None and target is not None:
        check_inputs([source, target])
        corpora = [AlignedFiles(source, target)]
    refuse_pretrained(model)
    verify_directory(model)
    config = load_recipe(model, TranslationConfig)
    filters = config.data.filters if config.data else FilterConfig()
    corpora = corpora or open_train(config.corpora)
    tokenizers = load_tokenizers(model)
    with stderr.status("learning the shortlist"):
        found = learn_shortlist(corpora, tokenizers, filters)
    save_shortlist(model, found, tokenizers)
    print_stdout(f"{model / SHORTLIST_FILE}: use it with seq2seq translate {model} --shortlist 20")
