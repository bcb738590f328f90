"""Where a worker learns its place, what it shares with the others, and who writes."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from seq2seq.cli.train import set_tf_config
from seq2seq.data.batching import batch_dataset, plan_batches, replica_batches
from seq2seq.data.encoded import EncodedPairs
from seq2seq.data.tokenizer import EOS_ID, PAD_ID
from seq2seq.devices.replicas import Replicas, report_lost_workers
from seq2seq.errors import ConfigError, TrainingError
from seq2seq.training import setup
from seq2seq.training.checkpoints import RunDirectory
from seq2seq.training.display import Display
from seq2seq.training.run_state import EpochBatches, RunState
from tests.shortage import FACES, fail
from tests.toy import toy_config

LENGTHS = np.array([3, 1, 2, 5, 4, 2, 6], np.int32)


class Numbers(EncodedPairs):
    """Sentence i is made of i + 10."""

    def __init__(self):
        self.source = self.target = self
        self.lengths = LENGTHS

    def ids(self, rows):
        return np.repeat(rows + 10, self.lengths[rows]).astype(np.int32)


def test_a_batch_is_dealt_out_once():
    rows = np.array([3, 0, 6, 4, 1])
    shares = replica_batches(Numbers(), rows, range(2), 2)
    assert [share.shape for share in shares] == [(3, 6), (3, 6), (2, 4), (2, 4)]
    assert sorted(share[i, 0] - 10 for share in shares[::2] for i in range(len(share))) == sorted(rows)
    np.testing.assert_array_equal(replica_batches(Numbers(), rows, range(1, 2), 2)[0], shares[2])


def test_a_replica_without_a_sentence_reads_one_that_teaches_nothing():
    *_, source, target = replica_batches(Numbers(), np.array([5]), range(3), 3)
    assert (source.tolist(), target.tolist()) == ([[EOS_ID]], [[PAD_ID]])


def test_the_dataset_has_the_shares_of_this_worker():
    corpus = Numbers()
    plan = plan_batches(LENGTHS, LENGTHS, max_tokens=9, shuffle_buffer=7, seed=1, epoch=1)
    batches = list(batch_dataset(corpus, plan, start=1, local_replicas=range(2, 4), num_replicas=4))
    assert len(batches) == len(plan) - 1
    for place, batch in enumerate(batches, start=1):
        for found, expected in zip(batch, replica_batches(corpus, plan.batch(place), range(2, 4), 4), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_alone_a_worker_knows_everything():
    replicas = Replicas()
    assert (replicas.num_replicas, replicas.num_workers, replicas.local_replicas, replicas.is_chief) == (
        1,
        1,
        range(1),
        True,
    )
    assert replicas.any_worker(True, False) == [True, False]
    assert replicas.gather_texts(["a", "b"]) == ["a", "b"]


def test_on_one_device_nothing_is_mirrored():
    replicas = Replicas("mirrored")
    assert (replicas.num_replicas, replicas.strategy) == (1, tf.distribute.get_strategy())


@pytest.mark.parametrize("local", [1, 2])
def test_texts_of_workers_are_joined_in_their_order(local):
    texts = ["eins", "", "drei\r\n 🙂\u2028", "vier", "fünf"]
    barrier, brought = threading.Barrier(2, timeout=600), {}

    def join(worker):
        def distribute(value_of):
            return {n: value_of(SimpleNamespace(replica_id_in_sync_group=n)) for n in replicas.local_replicas}

        def gather(values, axis):
            brought.update(values)
            barrier.wait()
            return tf.concat([brought[replica] for replica in range(2 * local)], axis)

        replicas = Replicas()
        replicas.worker_index, replicas.num_workers, replicas.num_replicas = worker, 2, 2 * local
        replicas.strategy = SimpleNamespace(experimental_distribute_values_from_function=distribute, gather=gather)
        return replicas.gather_texts(texts[worker::2])

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(join, range(2))) == [texts, texts]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "TF_CONFIG is not set. Give --workers and --worker-index"),
        ("{", r"TF_CONFIG is damaged \(JSONDecodeError: .*\): \{\. Give"),
        ('{"cluster": {}}', r"TF_CONFIG is damaged \(KeyError: 'worker'\)"),
        (
            '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}',
            "this task is worker 2, but there are workers 0 to 1",
        ),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
            "this task is chief 0, but there are workers 0 to 0",
        ),
    ],
)
def test_a_wrong_cluster_is_an_error(text, message, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(TrainingError, match=message):
        Replicas("multi_worker")


@pytest.mark.parametrize(
    ("workers", "index", "message"),
    [
        ("a:1,b:2", None, "--workers and --worker-index go together"),
        (None, 0, "--workers and --worker-index go together"),
        ("a:1,b", 0, "expected host:port, found 'b'"),
        ("a:1,:2", 0, "expected host:port, found ':2'"),
        ("a:1,b:2", 2, "--worker-index 2: expected the index of a worker, 0 to 1"),
        ("a:1,b:2", -1, "--worker-index -1: expected the index of a worker, 0 to 1"),
    ],
)
def test_wrong_flags_are_errors(workers, index, message):
    with pytest.raises(ConfigError, match=message):
        set_tf_config(workers, index)


def test_flags_say_what_tensorflow_reads(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "")
    set_tf_config("[::1]:1,b:2", 1)
    from seq2seq.devices.replicas import _place_in_cluster

    assert _place_in_cluster() == (1, 2)


def test_only_errors_of_several_workers_are_about_other_workers():
    replicas = Replicas()
    lost = tf.errors.UnavailableError(None, None, "socket closed")
    with pytest.raises(tf.errors.UnavailableError), report_lost_workers(replicas):
        raise lost
    replicas.num_workers = 2
    message = r"worker 0 of 2 lost another worker, .* \(UnavailableError\)"
    with pytest.raises(TrainingError, match=message), report_lost_workers(replicas):
        raise lost
    unlike = tf.errors.InternalError(None, None, "Device 1 is joining a group with incompatible device type GPU")
    with (
        pytest.raises(TrainingError, match="the workers have different kinds or numbers of devices"),
        report_lost_workers(replicas),
    ):
        raise unlike


@pytest.mark.parametrize("face", FACES)
def test_lack_of_memory_is_no_lost_worker(face):
    replicas = Replicas()
    message = f"{FACES[face][2]}. Lower batching.max_tokens"
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}"), report_lost_workers(replicas):
        fail(face)
    replicas.num_workers = 2
    message = f"worker 0 of 2: {message}"
    with pytest.raises(TrainingError, match=f"^{re.escape(message)}"), report_lost_workers(replicas):
        fail(face)
    with pytest.raises(tf.errors.InvalidArgumentError), report_lost_workers(replicas):
        raise tf.errors.InvalidArgumentError(None, None, "shapes differ")


def test_another_worker_than_the_chief_writes_nothing(tmp_path):
    replicas = Replicas()
    replicas.worker_index = 1
    variables = SimpleNamespace(state_variables=dict)
    model = SimpleNamespace(
        weights=[], metrics=[], optimizer=SimpleNamespace(variables=[]), update=variables,
        random_stream=SimpleNamespace(step=tf.Variable(0)),
    )  # fmt: skip
    records = RunDirectory(tmp_path, toy_config(tmp_path), model, None, replicas)
    records.start_run(resumes=False)
    records.save("checkpoints/last.safetensors", None)
    records.record_validation({"best": True, "update": 1}, is_delivered=True)
    records.prune()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "measured", "update"),
    [
        pytest.param({}, [40], 0.1, id="for 1.8 s"),
        pytest.param({"epochs": 1}, [10], 0.1, id="no more than there is to train"),
        pytest.param({"consistency": {"type": "simcut"}}, [20], 0.2, id="two passes"),
        pytest.param(
            {"consistency": {"type": "simcut", "start_epoch": 10**6}}, [10, 20], 0.1, id="first one, then two passes"
        ),
    ],
)
def test_all_workers_plan_by_what_the_chief_has_measured(options, measured, update, monkeypatch, tmp_path):
    """And they measure equally many batches, until the slower one has enough."""
    config = toy_config(tmp_path, training={"minutes": 1.0, "epochs": None, "accumulation_steps": 2} | options)
    twice = config.training.consistency.type != "none"
    plan = plan_batches(LENGTHS, LENGTHS, max_tokens=6, shuffle_buffer=9, seed=1, epoch=1)
    monkeypatch.setattr(setup, "snapshot", lambda model: {})
    monkeypatch.setattr(setup, "restore", lambda *arguments: None)
    together, sums = threading.Barrier(2), [None, None]

    def work(index):
        def add_up(values):
            sums[index] = np.array(values, np.float64)
            together.wait(600)
            total = sums[0] + sums[1]
            together.wait(600)
            return total

        clock, batches = {"now": 0.0}, []
        clocks[threading.get_ident()] = clock

        def step(*batch):
            batches.append(batch)
            clock["now"] += (0.05, 0.01)[index] * (1 + (twice and model.uses_consistency))
            return {"loss": 1.0}

        def rehearse():
            clock["now"] += 1.0
            return (3.0, 5.0)[index]

        replicas = SimpleNamespace(
            local_replicas=range(1), num_replicas=1, is_chief=index == 0, sum_over_workers=add_up,
            any_worker=lambda *wishes: [bool(wish) for wish in add_up(np.array(wishes))],
        )  # fmt: skip
        model = SimpleNamespace(step_function=lambda: step)
        validator = SimpleNamespace(
            model=model, replicas=replicas, config=config, display=Display(), rehearse=rehearse,
        )  # fmt: skip
        directory = SimpleNamespace(save=lambda name, state: clock.update(now=clock["now"] + 0.25))
        pace = setup.measure_pace(
            validator, directory, RunState(seconds=100.0 + index), Numbers(), plan, EpochBatches(len(plan))
        )
        return pace, len(batches), clock["now"]

    clocks = {}
    monkeypatch.setattr(setup.Timer, "clock", lambda self: clocks[threading.get_ident()]["now"])
    with ThreadPoolExecutor(2) as pool:
        (pace, count, elapsed), (other, other_count, _) = pool.map(work, range(2))
    assert count == other_count == sum(10 + batches for batches in measured), "ten to warm up"
    assert pace == other
    assert pace == pytest.approx((update, 3.5, 100.0 + elapsed))
