"""`seq2seq generate`."""

from pathlib import Path
from typing import Annotated

import typer

from seq2seq.config.precision import Precision


def generate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The directory of a language model.")],
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="How each text begins; best whole words.")] = "",
    samples: Annotated[
        int, typer.Option(metavar="N", min=1, help="Texts, best first; at most --beam-size where that is given.")
    ] = 1,
    temperature: Annotated[float | None, typer.Option(help="Logits are divided by it; below 1 is safer.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw among so many likeliest tokens.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw among the fewest likeliest that together have this probability.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same texts.")] = None,
    min_length: Annotated[int | None, typer.Option(help="Fewest tokens after the prompt, with </s>.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Most tokens after the prompt, with </s>.")] = None,
    beam_size: Annotated[
        int | None, typer.Option(min=1, help="Search for the likeliest texts instead of drawing; 1 is greedy.")
    ] = None,
    length_penalty: Annotated[
        str | None, typer.Option(help="GNMT's alpha, 0 for none, or 'average'.", metavar="FLOAT|average")
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="All but float32 are for speed on a GPU, see seq2seq translate.")
    ] = "float32",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Texts, one a line; stdout by default.")
    ] = None,
) -> None:
    """Write text with a language model.

    Texts are drawn, or searched for with --beam-size. What else is not given here is as the model's recipe has it.
    """
    from seq2seq.cli.options import search_options
    from seq2seq.cli.startup import load_tensorflow
    from seq2seq.cli.text_files import check_output, open_output

    if beam_size is not None:
        check_search(beam_size, samples, {"--temperature": temperature, "--top-k": top_k, "--top-p": top_p})
    if output is not None:
        check_output(output)
    load_tensorflow()
    from seq2seq.inference.text_generator import TextGenerator

    generator = TextGenerator.load(model, precision)
    options = search_options(
        generator.options,
        sample=beam_size is None,
        n_best=samples,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        min_length=min_length,
        max_length=max_length,
        beam_size=beam_size,
        length_penalty=length_penalty,
    )
    written = generator.generate(prompt, options)
    with open_output(output) as handle:
        handle.writelines(f"{hypothesis.text}\n" for hypothesis in written)


def check_search(beam_size: int, samples: int, of_sampling: dict[str, float | None]) -> None:
    """See that flags go together with --beam-size.

    Raises:
        ConfigError: There are more texts than it, or one of `of_sampling` is given.
    """
    from seq2seq.errors import ConfigError

    if samples > beam_size:
        raise ConfigError(f"--samples {samples}: a search with --beam-size {beam_size} finds at most so many texts.")
    for flag, value in of_sampling.items():
        if value is not None:
            raise ConfigError(
                f"{flag} {value}: is for drawing texts, and --beam-size {beam_size} searches for them. Leave one out."
            )
