"""What a GPU has to do at each step of a search and in each update, counted in graphs that are made for one.

`pytest tests/unit/test_launches.py -s` prints the counts.
"""

import pytest
import tensorflow as tf

from seq2seq.config import DecoderConfig, EmbeddingsConfig, EncoderConfig, SearchOptions
from seq2seq.inference.searcher import StaticSearchOptions, trace_search
from seq2seq.inference.step_sources import ModelSteps
from seq2seq.models.translation import Seq2Seq
from seq2seq.training.optimization import FusedAdam
from tests import launches

pytestmark = pytest.mark.skipif(
    not launches.have_gpu_kernels(), reason="this TensorFlow has no GPU kernels, whose registry is read"
)
DEFAULT = (1024, EmbeddingsConfig(size=16), EncoderConfig(units=16), DecoderConfig(units=16))
DEEP = {"cell": "lstm", "layers": 4, "units": 16, "dropout": 0.2}  # as in the GNMT system of Wu et al. (2016)
GNMT = (512, EmbeddingsConfig(size=16, tied="all", dropout=0.2), EncoderConfig(**DEEP), DecoderConfig(**DEEP))


def make(size, embeddings, encoder, decoder, precision="float32"):
    return Seq2Seq(size, size, embeddings, encoder, decoder, precision=precision)


@pytest.mark.parametrize(("beam_size", "to_host", "to_device"), [(1, 1, 2), (5, 1, 4)])
def test_a_step_of_search_crosses_between_host_and_gpu_as_seldom_as_can_be(beam_size, to_host, to_device):
    """The host has to know whether another step follows; all else is computed where the model is."""
    model, options = make(*DEFAULT), SearchOptions(beam_size=beam_size)

    graph = trace_search(ModelSteps(model), StaticSearchOptions.from_options(options, keep_attention=False))
    loops = launches.loops(launches.optimized(graph))
    step = max(loops.values(), key=lambda count: sum(count.launches.values()))
    assert step.launches["MatMul"] >= 3, "it is the decoder's step"
    print(f"a step of beam {beam_size}: {step.summary()}")
    assert len(step.to_host) <= to_host, step.to_host
    assert len(step.to_device) <= to_device, step.to_device


@pytest.fixture(scope="module")
def updates():
    """The traced updates of both models in bfloat16, as on a GPU."""
    real = tf.config.list_logical_devices
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a GPU"] if kind == "GPU" else real(kind))
        graphs = {}
        for name, sizes in {"default": DEFAULT, "gnmt": GNMT}.items():
            model = make(*sizes, precision="mixed_bfloat16")
            model.compile(FusedAdam(1e-3), label_smoothing=0.1)
            graphs[name] = model.step_function().get_concrete_function()
        return graphs


@pytest.mark.parametrize(("name", "launched"), [("default", 300), ("gnmt", 790)])
def test_an_update_launches_few_kernels(name, launched, updates):
    """The optimizer's own, one a variable, are not counted: they have no outputs."""
    update = launches.count(launches.optimized(updates[name]).node)
    assert update.launches["CudnnRNNV3"] == update.launches["CudnnRNNBackpropV3"] > 0
    print(f"an update, {name}: {update.summary()}")
    assert sum(update.launches.values()) <= launched, update.launches.most_common()
    assert len(update.to_host) <= 4, update.to_host
    scattered = {name for name in update.launches if "Scatter" in name}
    assert scattered == {"TensorScatterSub"}, "of others, `determinism.SCATTER_VARIABLE` says nothing"


def test_both_directions_of_a_layer_are_one_call_of_cudnn(updates):
    nodes = [node for node in updates["default"].graph.as_graph_def().node if node.op == "CudnnRNNV3"]
    assert sorted(node.attr["direction"].s for node in nodes) == [b"bidirectional", b"unidirectional"]


@pytest.mark.parametrize("name", ["default", "gnmt"])
def test_cudnn_computes_no_gradient_in_bfloat16(name, updates):
    """TensorFlow's kernel for it reads memory that nobody has written."""
    graph = updates[name].graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    recurrences = [node for node in nodes if node.op.startswith("CudnnRNN")]
    products = [node for node in nodes if node.op == "MatMul"]
    assert {tf.as_dtype(node.attr["T"].type) for node in products} == {tf.bfloat16}, "the rest is in bfloat16"
    assert {tf.as_dtype(node.attr["T"].type) for node in recurrences} == {tf.float32}
