"""Speed of dynamic int8 matrix products in decoding, compared with float32, in three maintained runtimes.

python benchmarks/int8.py [--rounds 15] [--json FILE]

All matrix products of one decoding step of the medium model are computed, for the rows (hypotheses) of a batch. Weights
are quantized beforehand and inputs in each call; results are float32. Optional: pip install onnx onnxruntime
torch==2.13.0
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from measure import in_turns, machine, median, show, write

# Products of the medium model, (inputs, outputs): two GRU layers (the query of attention needs none), readout, output
# layer.
PRODUCTS = [(256, 1536), (512, 1536), (1024, 1536), (512, 1536), (1024, 256), (256, 8000)]
ROWS = (5, 50, 250, 1000)

Run = Callable[[list[np.ndarray]], list[Any]]


def in_tensorflow(weights: list[np.ndarray]) -> Run:
    tables = [tf.constant(weight) for weight in weights]
    products = tf.function(lambda *x: [tf.matmul(a, b) for a, b in zip(x, tables, strict=True)])
    return lambda inputs: [product.numpy() for product in products(*map(tf.constant, inputs))]


def in_onnxruntime(weights: list[np.ndarray], quantized: bool) -> Run:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, tables, inputs, outputs = [], [], [], []
    for n, weight in enumerate(weights):
        inputs.append(helper.make_tensor_value_info(f"x{n}", TensorProto.FLOAT, [None, weight.shape[0]]))
        outputs.append(helper.make_tensor_value_info(f"y{n}", TensorProto.FLOAT, [None, weight.shape[1]]))
        if not quantized:
            tables.append(numpy_helper.from_array(weight, f"w{n}"))
            nodes.append(helper.make_node("MatMul", [f"x{n}", f"w{n}"], [f"y{n}"]))
            continue
        scale = np.abs(weight).max() / 127
        tables.append(numpy_helper.from_array(np.round(weight / scale).astype(np.int8), f"w{n}"))
        tables.append(numpy_helper.from_array(np.float32(scale), f"s{n}"))
        nodes.append(
            helper.make_node("DynamicQuantizeMatMul", [f"x{n}", f"w{n}", f"s{n}"], [f"y{n}"], domain="com.microsoft")
        )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(
        helper.make_graph(nodes, "step", inputs, outputs, tables), opset_imports=opsets, ir_version=10
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, {f"x{n}": x for n, x in enumerate(inputs)})


def in_pytorch(weights: list[np.ndarray]) -> Run:
    import torch

    warnings.filterwarnings("ignore")
    torch.backends.quantized.engine = "x86"
    packed = []
    for weight in weights:
        linear = torch.nn.Linear(*weight.shape, bias=False)
        linear.weight.data = torch.from_numpy(weight.T.copy())
        packed.append(torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(linear), {torch.nn.Linear}))

    def run(inputs: list[np.ndarray]) -> list[Any]:
        with torch.inference_mode():
            return [product(torch.from_numpy(x)).numpy() for product, x in zip(packed, inputs, strict=True)]

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    random = np.random.default_rng(1)
    weights = [random.normal(size=shape).astype("f") / np.sqrt(shape[0], dtype="f") for shape in PRODUCTS]
    runtimes: dict[str, Run] = {"TensorFlow float32": in_tensorflow(weights)}
    makers: dict[str, Callable[[], Run]] = {
        "onnxruntime float32": partial(in_onnxruntime, weights, quantized=False),
        "onnxruntime int8": partial(in_onnxruntime, weights, quantized=True),
        "PyTorch int8": partial(in_pytorch, weights),
    }
    for name, make in makers.items():
        try:
            runtimes[name] = make()
        except ImportError as error:
            print(f"{name} is left out: {error}")
    rows = []
    for count in ROWS:
        inputs = [random.normal(size=(count, shape[0])).astype("f") for shape in PRODUCTS]
        exact = runtimes["TensorFlow float32"](inputs)
        errors = {
            name: max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(run(inputs), exact, strict=True))
            for name, run in runtimes.items()
        }

        def seconds(run: Run, inputs: list[np.ndarray] = inputs) -> float:
            start = time.perf_counter()
            run(inputs)
            return time.perf_counter() - start

        found = in_turns({name: partial(seconds, run) for name, run in runtimes.items()}, options.rounds)
        floor = median(found["TensorFlow float32"])
        for name, values in found.items():
            rows.append(
                {
                    "rows": str(count),
                    "runtime": name,
                    "ms": 1000 * median(values),
                    "as fast as TensorFlow": f"{floor / median(values):.2f} x",
                    "largest error, relative": errors[name],
                }
            )
    show("the products of a decoding step, medium model", rows)
    write(options.json, {"machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
