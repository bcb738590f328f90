"""The whole line learns: translation rules from examples, to a stated bound."""

from seq2seq.config import SearchOptions
from seq2seq.evaluation.metrics import evaluate
from seq2seq.inference.translator import Translator
from seq2seq.training import train
from tests.toy import pairs, toy_config, write_corpus


def test_learns_a_toy_language_to_95_bleu(tmp_path):
    """Word translation, a moved adverb and repeated conjunctions, on sentences never seen."""
    write_corpus(tmp_path, train=1500, valid=60)
    config = toy_config(
        tmp_path,
        batching={"max_tokens": 400, "shuffle_buffer": 500},
        data={**toy_config(tmp_path).data.model_dump(exclude={"filters"}), "filters": {"max_tokens": 60}},
        tokenizer={"vocabulary_size": 56},
        embeddings={"size": 32, "dropout": 0.05},
        encoder={"units": 32},
        decoder={"units": 32, "attention": "additive"},
        training={"epochs": 8, "learning_rate": 0.01, "schedule": {"type": "inverse_sqrt", "warmup_updates": 50}},
        validation={"metric": "bleu", "compute_bleu": True},
    )
    train(config, tmp_path / "run")
    seen = {source for source, _ in pairs(1500, 1)}
    unseen = [pair for pair in pairs(200, 9) if pair[0] not in seen]
    assert len(unseen) > 100
    translator = Translator.load(tmp_path / "run")
    for beam_size in (1, 4):
        report = evaluate(translator, unseen, SearchOptions(beam_size=beam_size), bootstrap=False)
        assert report["BLEU"].score > 95
