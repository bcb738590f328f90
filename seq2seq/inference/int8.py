"""Decoding with 8-bit integer products on the CPU, run by ONNX Runtime inside the search loop."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from seq2seq.errors import ModelDirectoryError
from seq2seq.extras import require_extra
from seq2seq.layers.decoder import nonempty_tensors, replace_nonempty
from seq2seq.model_directory.derived_files import DECODER_FILE, how_to_make, record_derived_file, verify_derived_file
from seq2seq.model_directory.directory import WEIGHTS_FILE
from seq2seq.model_directory.pretrained import refuse_pretrained
from seq2seq.models.translation import Seq2Seq
from seq2seq.storage.arrays import load_checksum
from seq2seq.storage.files import atomic_write

OPSET = 17


def quantize_decoder(model: Seq2Seq, folder: Path, made_from: str | None = None) -> None:
    """Write one step of the model's decoder, with weight matrices as 8-bit integers, into the model directory.

    Each row of inputs and each column of a weight matrix is scaled by its own largest magnitude, so translations still
    do not depend on their batch. Biases, gates and attention stay float32. `metadata.json` gets the checksums of the
    file and of the weights from which it is made.

    Args:
        model: Model of the directory.
        folder: Model directory.
        made_from: Checksum of the weights from before the model was loaded; by default their current checksum. If
            training replaces the weights in the meantime, the file is refused when it is loaded.

    Raises:
        MissingExtraError: The extra `int8` is not installed.
        ModelDirectoryError: Weights or metadata of the directory are missing or damaged, or the model is a pretrained
            one.
    """
    refuse_pretrained(folder)
    with require_extra("int8", needed_by="8-bit decoding"):
        import tf2onnx
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    made_from = made_from or load_checksum(folder / WEIGHTS_FILE)
    memory, state = model.encode(tf.constant([[1]]))

    def step(*flat: tf.Tensor) -> list[tf.Tensor]:
        places, whole = replace_nonempty((state, memory), flat[1:])
        logits, new, weights = model.decode_step(flat[0], places, whole)
        return [logits, *nonempty_tensors(new), weights]

    def spec(number: int, value: tf.Tensor) -> tf.TensorSpec:
        # Sentences, hypotheses and positions vary; the widths of states and keys do not.
        fixed = value.shape[-1] if value.shape[-1] > 1 else None
        return tf.TensorSpec([None] * (len(value.shape) - 1) + [fixed], value.dtype, f"input_{number}")

    values = [tf.constant([[1]]), *nonempty_tensors((state, memory))]
    signature = [spec(number, value) for number, value in enumerate(values)]
    function = tf.function(step, input_signature=signature, autograph=False)
    graph, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    _quantize_products(graph)
    contents = graph.SerializeToString()
    with atomic_write(folder / DECODER_FILE, len(contents)) as partial:
        partial.write_bytes(contents)
    record_derived_file(folder, DECODER_FILE, {WEIGHTS_FILE: made_from})


def load_int8_decoder(folder: Path, vocabulary_size: int) -> Callable[..., tuple[tf.Tensor, Any, tf.Tensor]]:
    """Load what `quantize_decoder` wrote.

    Args:
        folder: Model directory.
        vocabulary_size: Size of the target vocabulary.

    Returns:
        Replacement for `DecoderModel.decode_step`, with logits over the whole vocabulary; threads may share it.

    Raises:
        MissingExtraError: The extra `int8` is not installed.
        ModelDirectoryError: The file is missing, damaged, made from other weights, or refers to other files.
    """
    from joblib import cpu_count

    with require_extra("int8", needed_by="8-bit decoding"):
        import onnxruntime
    again = how_to_make(folder, DECODER_FILE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_count()
    # Threads that spin while they wait would take the cores from TensorFlow's.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = verify_derived_file(folder, DECODER_FILE, {WEIGHTS_FILE: load_checksum(folder / WEIGHTS_FILE)})
    contents = path.read_bytes()
    # ONNX Runtime reads weights from files below the working directory if the model refers to them, which it does by
    # this key. A search of the bytes needs no parser of ONNX; no layer has the word in its name.
    if b"location" in contents:
        raise ModelDirectoryError(f"{path}: has weights in other files, which seq2seq does not write. {again}")
    try:
        session = onnxruntime.InferenceSession(contents, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        reason = str(error).splitlines()[0][:200]
        raise ModelDirectoryError(f"{path}: cannot be read: {reason}. {again}") from None
    wanted = {node.name.split(":")[0] for node in session.get_inputs()}

    def run(*values: np.ndarray) -> list[np.ndarray]:
        feeds = {f"input_{number}": value for number, value in enumerate(values)}
        return session.run(None, {name: value for name, value in feeds.items() if name in wanted})

    def decode_step(tokens: tf.Tensor, state: Any, memory: Any) -> tuple[tf.Tensor, Any, tf.Tensor]:
        before = nonempty_tensors(state)
        values = [tf.cast(tokens, tf.int32), *before, *nonempty_tensors(memory)]
        flat = tf.numpy_function(run, values, [tf.float32] * (len(before) + 2))
        shapes = [[*tokens.shape, vocabulary_size], *(value.shape for value in before), [*tokens.shape, None]]
        logits, *new, weights = (tf.ensure_shape(value, shape) for value, shape in zip(flat, shapes, strict=True))
        return logits, replace_nonempty(state, new), weights

    return decode_step


def _quantize_products(model: Any) -> None:
    """Quantize each product of inputs x with a constant matrix W: x W = s_x (round(x / s_x) round(W / s_W)) s_W.

    The scales s_x (N, 1) of the rows of x are computed at each call; s_W (O,) are the scales of the columns of W.
    """
    with require_extra("int8", needed_by="8-bit decoding"):
        from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    tables = {tensor.name: tensor for tensor in graph.initializer}
    constants = [
        numpy_helper.from_array(value, f"int8/{name}")
        for name, value in {
            "most": np.float32(1 / 127),
            "least": np.float32(1e-12),
            "one": np.float32(1.0),
            "middle": np.float32(128.0),
            "zero": np.uint8(128),  # zero point of the rows: processors multiply unsigned rows with signed weights
        }.items()
    ]
    nodes: list[Any] = []
    rows: dict[str, str] = {}  # products that share an input share its integers

    def add(operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in tables:
            nodes.append(node)
            continue
        x, name = node.input[0], f"int8/{node.output[0]}"
        weight = numpy_helper.to_array(tables[node.input[1]])
        scale = np.maximum(np.abs(weight).max(axis=0), 1e-12).astype("f") / np.float32(127)
        constants.append(numpy_helper.from_array(np.round(weight / scale).astype(np.int8), f"{name}/weight"))
        constants.append(numpy_helper.from_array(scale, f"{name}/scale"))
        if x not in rows:
            rows[x] = f"int8/{x}"
            largest = add("ReduceMax", [add("Abs", [x], f"{rows[x]}/abs")], f"{rows[x]}/max", axes=[-1], keepdims=1)
            above = add("Max", [largest, "int8/least"], f"{rows[x]}/above")
            divided = add("Div", [x, add("Mul", [above, "int8/most"], f"{rows[x]}/scale")], f"{rows[x]}/divided")
            moved = add("Round", [add("Add", [divided, "int8/middle"], f"{rows[x]}/moved")], f"{rows[x]}/round")
            add("Cast", [moved], rows[x], to=TensorProto.UINT8)
        operands = [rows[x], f"{name}/weight", "int8/one", f"{name}/scale", "int8/zero"]
        product = add("MatMulIntegerToFloat", operands, f"{name}/product", domain="com.microsoft")
        add("Mul", [product, f"{rows[x]}/scale"], node.output[0])
    read = {name for node in nodes for name in node.input}
    constants += [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
