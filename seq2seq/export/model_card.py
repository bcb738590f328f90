"""Model cards in Markdown with YAML front matter: purpose, use, training data, scores and limitations of a model.

Source: Mitchell et al. (2019), Model cards for model reporting. The YAML keys are those of the Hugging Face Hub.
"""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any, NamedTuple

import yaml

from seq2seq.config import Config
from seq2seq.evaluation.text_checks import SMALL_SET
from seq2seq.evaluation.tokenizers import bleu_tokenizer
from seq2seq.extras import DISTRIBUTION_NAME
from seq2seq.inference.segments import UNKNOWN_MAX_TOKENS
from seq2seq.model_directory.inspection import describe_teachers
from seq2seq.plurals import pluralize

BAR = "\\|"  # Markdown ends a cell at an unescaped bar, even in a code span


class TaskText(NamedTuple):
    """Texts in the model cards of a task.

    Attributes:
        kind: The Hub's name of the task.
        use: Python code that uses the model `name`.
        limits: Limitations, in which `at_once` and `longest` stand for the text that is translated as a whole, and
            `long_lines` for the treatment of longer text.
    """

    kind: str
    use: str
    limits: tuple[str, ...]


TASK_TEXTS: dict[str, TaskText] = {
    "translation": TaskText(
        "translation",
        """\
from seq2seq import Translator

translator = Translator.load({name!r})
for translation in translator.translate(["A sentence.", "Another one."]):
    print(translation.text)""",
        (
            "The model is intended for the kind of text it was trained on. On other text, a translation may read well "
            "and still be wrong: words may be omitted, repeated or invented.",
            "It translates {at_once} at a time, without further context; a sentence of more than {longest} tokens is "
            "{long_lines}.",
            "Scores are log-probabilities of the search, not probabilities that a translation is correct.",
        ),
    ),
    "language_model": TaskText(
        "text-generation",
        """\
from seq2seq import TextGenerator

generator = TextGenerator.load({name!r})
print(generator.perplexity(["A sentence.", "Another one."]).per_token)
print(generator.generate()[0].text)""",
        (
            "The model is intended for the kind of text it was trained on. It generates likely text, which may be "
            "untrue.",
            "Perplexity per token is comparable only between models with the same tokenizer; per word, between all.",
        ),
    ),
}


def render_card(name: str, config: Config, about: Mapping[str, Any], licence: str | None) -> str:
    """Render the whole card.

    Args:
        name: Name of the model: that of its directory.
        config: Recipe of the model.
        about: The result of `inspect_model`.
        licence: Licence of the model; None: unknown.
    """
    about = _with_plain_names(config, about)
    front = yaml.safe_dump(_front_matter(name, config, about, licence), sort_keys=False, allow_unicode=True)
    shell = "\n".join([f"pip install {DISTRIBUTION_NAME}", *config.next_commands(quote(name)).values()])
    texts, search = TASK_TEXTS[config.task], config.search
    long_lines = "cut off" if getattr(search, "long_lines", "") == "truncate" else "translated in segments"
    purpose = about["purpose"]
    sentences, longest = purpose["max_sentences"], purpose["max_source_tokens"] or UNKNOWN_MAX_TOKENS
    at_once = "a line" if sentences is None else "a sentence" if sentences == 1 else f"up to {sentences} sentences"
    limits = [limit.format(at_once=at_once, longest=longest, long_lines=long_lines) for limit in texts.limits]
    sections = {
        "Use": f"```bash\n{shell}\n```\n\n```python\n{texts.use.format(name=name)}\n```",
        "Training data": _corpora(about["corpus"], config.corpus_unit),
        "Model": _model(about),
        "Scores": "\n\n".join(_scores(config, about)) or "No scores were measured.",
        "Limitations": "\n".join(f"- {limit}" for limit in limits),
        "Versions": _table(["", "at training"], [[what, one["then"]] for what, one in about["versions"].items()]),
        "Licence": licence or "Unknown: no licence was given. The corpora may have licences of their own.",
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"---\n{front}---\n\n# {name}\n\n{_summary(config)}\n\n{body}\n"


def _with_plain_names(config: Config, about: Mapping[str, Any]) -> Mapping[str, Any]:
    """`about` with a self-explanatory name for held-out pairs, for readers who do not know the recipe."""
    corpus = about["corpus"]
    if config.data is None or not config.data.valid.held_out or "valid" not in corpus:
        return about
    name = f"held-out {config.corpus_unit}s of the training corpus"
    return {**about, "corpus": {**corpus, "valid": {**corpus["valid"], "name": name}}}


def _front_matter(name: str, config: Config, about: Mapping[str, Any], licence: str | None) -> dict[str, Any]:
    kind = TASK_TEXTS[config.task].kind
    values: dict[str, Any] = {
        "language": [code for code in config.languages if code] or None,
        "license": licence or "unknown",
        "library_name": "seq2seq",
        "pipeline_tag": kind,
        "tags": [kind, "recurrent-neural-network", config.decoder.cell],
    }
    results = list(_results(config, about))
    values["metrics"] = sorted({result["type"] for _, measured in results for result in measured}) or None
    values["model-index"] = (
        [
            {
                "name": name,
                "results": [
                    {"task": {"type": kind}, "dataset": {"name": data, "type": "text"}, "metrics": measured}
                    for data, measured in results
                ],
            }
        ]
        if results
        else None
    )
    return {key: value for key, value in values.items() if value is not None}


def _summary(config: Config) -> str:
    source, target = config.languages
    if config.task == "language_model":
        return f"A language model that scores and generates text{f' in `{target}`' if target else ''}."
    known = "".join(f" {word} `{code}`" for word, code in (("from", source), ("to", target)) if code)
    return f"A translation model{known}." if known else "A translation model; its recipe does not name the languages."


def _corpora(corpus: Mapping[str, Any], unit: str) -> str:
    parts = [("train", part) for part in corpus.get("train", ())]
    parts += [("validation", corpus["valid"])] if "valid" in corpus else []
    rows = [
        [
            use,
            part["name"],
            *(f"{part[key]:,}" if key in part else "" for key in ("read", "kept", "source_tokens", "target_tokens")),
        ]
        for use, part in parts
    ]
    head = ["for", "corpus", f"{unit}s read", f"{unit}s kept", "source tokens", "target tokens"]
    table = _table(head, rows) if rows else "Unknown."
    return f"{table}\n\nThe training corpus has {text}." if (text := describe_teachers(corpus)) else table


def _model(about: Mapping[str, Any]) -> str:
    total = about["parameters"]["total"]
    rows = [[part, f"{count:,}", f"{count / total:.1%}"] for part, count in about["parameters"].items() if count]
    tokenizers = [
        [side, one["model_type"] or "unknown", f"{one['vocabulary_size']:,}"]
        for side, one in about["tokenizers"].items()
    ]
    return "\n\n".join(
        [
            _table(["part", "description"], list(about["architecture"].items())),
            _table(["weights of", "parameters", "share"], rows),
            _table(["tokenizer", "kind", "pieces"], tokenizers),
            f"Trained in {about['precision']}; the weights are stored in {about['weights_dtype']}.",
        ]
    )


def _scores(config: Config, about: Mapping[str, Any]) -> Iterator[str]:
    """Yield a paragraph for each measurement."""
    scores = about["scores"]
    if averaged := scores.get("averaged"):
        updates = ", ".join(f"{update:,}" for update in averaged)
        yield (
            f"The weights are the mean of those after updates {updates}. Their scores on the validation corpus, before "
            "averaging:"
        )
    if rows := [
        [f"{one['update']:,}", f"{one['epoch']}", f"{one.get('valid_loss', one.get('loss')):.3f}", _number(one["bleu"])]
        for one in _validations(scores)
    ]:
        yield _table(["update", "epoch", "loss, nats per token", "BLEU"], rows)
        if any(row[-1] for row in rows):
            beam = getattr(config.validation, "beam_size", 1)
            kept = about["corpus"].get("valid", {}).get("kept")
            yield (
                f"BLEU on the validation corpus with beam size {beam}: `{_signature(config, about)}`."
                f"{_uncertainty(kept)}"
            )
    for data, report in scores.get("tests", {}).items():
        yield f"`{data}`, {pluralize(report['sentences'], 'sentence')}.{_uncertainty(report['sentences'])}"
        yield _table(
            ["metric", "score", "95% interval", "signature"],
            [
                [
                    one["name"],
                    _number(one["score"]),
                    " - ".join(filter(None, map(_number, (one["low"], one["high"])))),
                    f"`{one['signature']}`",
                ]
                for one in report["scores"]
            ],
        )


def _uncertainty(sentences: int | None) -> str:
    """A sentence on the uncertainty of scores from few sentences; "" for many, or an unknown number."""
    if sentences is None or sentences >= SMALL_SET:
        return ""
    return f" Scores of {pluralize(sentences, 'sentence')} are uncertain by several points."


def _results(config: Config, about: Mapping[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield data sets and scores on them, in the Hub's terms; averaged weights have no scores on validation."""
    scores = about["scores"]
    bleu = scores.get("validation", {}).get("bleu")
    if bleu is not None:
        args = {"signature": _signature(config, about)}
        yield about["corpus"]["valid"]["name"], [{"type": "bleu", "value": round(bleu, 2), "args": args}]
    for data, report in scores.get("tests", {}).items():
        types = {"BLEU": "bleu", "chrF2": "chrf", "TER": "ter"}
        yield (
            data,
            [
                {"type": types[one["name"]], "value": round(one["score"], 2), "args": {"signature": one["signature"]}}
                for one in report["scores"]
            ],
        )


def _validations(scores: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return scores.get("validations") or [one for one in [scores.get("validation")] if one]


def _signature(config: Config, about: Mapping[str, Any]) -> str:
    """The sacreBLEU signature of the BLEU that training measures."""
    tokenizer = bleu_tokenizer(config.languages[1])
    version = about["versions"].get("sacrebleu", {}).get("then", "unknown")
    return f"nrefs:1|case:mixed|eff:no|tok:{tokenizer}|smooth:exp|version:{version}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |" for line in lines)
