"""Count what a GPU would do with a traced function, without a GPU: kernel launches, and copies to and from the host.

Grappler optimises the graph for a virtual GPU. The device of each input and output is read from TensorFlow's registry
of GPU kernels, which its Linux packages have on machines without a GPU, too.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2, device_properties_pb2
from tensorflow.python.framework import kernels, meta_graph, op_def_registry
from tensorflow.python.grappler import cluster, tf_optimizer

# Views, parameters, lists and control flow, which launch nothing.
FREE = {
    *(
        "Const",
        "Identity",
        "IdentityN",
        "Reshape",
        "ExpandDims",
        "Squeeze",
        "Bitcast",
        "StopGradient",
        "PreventGradient",
    ),
    *("Shape", "ShapeN", "Size", "Rank", "EnsureShape", "Placeholder", "NoOp", "VarHandleOp", "ReadVariableOp"),
    *("TensorListReserve", "TensorListSetItem", "TensorListGetItem", "ControlTrigger"),
    *("Enter", "Exit", "LoopCond", "NextIteration", "Switch", "Merge"),
}
# Read by the host without waiting for the device.
SHAPES = {"Shape", "ShapeN", "Size", "Rank", "EnsureShape"}
MADE_ONCE = {"Const", "Placeholder", "ReadVariableOp"}
ON_HOST = {types_pb2.DT_STRING, types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT}


class Count(NamedTuple):
    """Counts of a graph or function: kernels launched, tensors copied from device to host and from host to device."""

    launches: Counter[str]
    to_host: set[str]
    to_device: set[str]

    def summary(self) -> str:
        """Describe the three numbers in words."""
        launched = sum(self.launches.values())
        return f"{launched} launches, {len(self.to_host)} copies to the host, {len(self.to_device)} to the device"


def have_gpu_kernels() -> bool:
    """Whether this TensorFlow was built with kernels for a GPU."""
    return any(kernel.device_type == "GPU" for kernel in kernels.get_registered_kernels_for_op("CudnnRNNV3").kernel)


def optimized(function: Any) -> Any:
    """The GraphDef of a concrete function as Grappler leaves it on a machine with one GPU."""
    graph = meta_graph.create_meta_graph_def(graph=function.graph)
    fetched = graph.collection_def["train_op"].node_list.value
    fetched.extend(tensor.name for tensor in (*function.graph.outputs, *function.graph.control_outputs))
    return tf_optimizer.OptimizeGraph(config_pb2.ConfigProto(), graph, cluster=cluster.Cluster(devices=_devices()))


def _devices() -> list[Any]:
    properties, named = device_properties_pb2.DeviceProperties, device_properties_pb2.NamedDevice
    gpu = properties(
        type="GPU",
        vendor="NVIDIA",
        frequency=1980,
        num_cores=132,
        memory_size=80 << 30,
        bandwidth=3_000_000_000,
        environment={"architecture": "9.0", "cuda": "12050", "cudnn": "90300"},
    )
    cpu = properties(type="CPU", frequency=2800, num_cores=16, memory_size=64 << 30)
    return [named(name="/CPU:0", properties=cpu), named(name="/GPU:0", properties=gpu)]


def count(nodes: Sequence[Any]) -> Count:
    """Count what NodeDefs do on a GPU; results of other nodes are assumed to be where they are needed."""
    placed = [(node, *_memory(node)) for node in nodes]
    ops = {node.name: node.op for node in nodes}
    host = {}
    for node, _, _, outputs in placed:
        for place, (_, on_host) in enumerate(outputs):
            host[f"{node.name}:{place}"] = on_host
            host.setdefault(node.name, on_host)
    found = Count(Counter(), set(), set())
    for node, on_gpu, inputs, outputs in placed:
        if on_gpu and node.op not in FREE and any(not on_host for _, on_host in outputs):
            found.launches[node.op] += 1
        sources = [name for name in node.input if not name.startswith("^")]
        for source, (_, wanted) in zip(sources, inputs, strict=True):
            maker = ops.get(source.partition(":")[0])
            if node.op in SHAPES or maker in MADE_ONCE or host.get(source, wanted) == wanted:
                continue
            (found.to_host if wanted else found.to_device).add(source)
    return found


def loops(graph: Any) -> dict[str, Count]:
    """Counts of one step of each loop of a GraphDef, by the name of the loop; inner loops are counted separately."""
    nodes = {node.name: node for node in graph.node}
    readers = defaultdict(list)
    for node in graph.node:
        for source in node.input:
            readers[source.lstrip("^").partition(":")[0]].append(node.name)
    bodies = defaultdict(set)
    for node in graph.node:
        if node.op != "Enter":
            continue
        body, waiting = bodies[node.attr["frame_name"].s.decode()], [node.name]
        while waiting:
            for reader in readers[waiting.pop()]:
                if reader not in body and nodes[reader].op not in ("Enter", "Exit"):
                    body.add(reader)
                    waiting.append(reader)
    return {name: count([nodes[node] for node in body]) for name, body in bodies.items()}


def _memory(node: Any) -> tuple[bool, list[tuple[str, bool]], list[tuple[str, bool]]]:
    """Whether a node has a GPU kernel; for each input and output, its name and whether it is on the host."""
    definition = op_def_registry.get(node.op)
    inputs, outputs = ([*_arguments(args, node)] for args in (definition.input_arg, definition.output_arg))
    kernel = _kernel(node)
    named = set(kernel.host_memory_arg) if kernel else set()

    def places(args: list[tuple[str, int]]) -> list[tuple[str, bool]]:
        return [(name, kernel is None or name in named or dtype in ON_HOST) for name, dtype in args]

    return kernel is not None, places(inputs), places(outputs)


def _arguments(definitions: Any, node: Any) -> Iterator[tuple[str, int]]:
    for argument in definitions:
        if argument.type_list_attr:
            yield from ((argument.name, dtype) for dtype in node.attr[argument.type_list_attr].list.type)
            continue
        repeated = node.attr[argument.number_attr].i if argument.number_attr else 1
        dtype = argument.type or node.attr[argument.type_attr].type
        yield from [(argument.name, dtype)] * repeated


def _kernel(node: Any) -> Any:
    """The kernel with which a GPU would run the node; None if the host computes it."""
    fitting = [
        kernel
        for kernel in kernels.get_registered_kernels_for_op(node.op).kernel
        if kernel.device_type in ("GPU", "DEFAULT") and all(_allows(rule, node) for rule in kernel.constraint)
    ]
    return max(fitting, key=lambda kernel: (kernel.priority, kernel.device_type == "GPU"), default=None)


def _allows(rule: Any, node: Any) -> bool:
    value, allowed = node.attr[rule.name], rule.allowed_values.list
    if allowed.s:
        return value.s in allowed.s
    types = value.list.type if value.HasField("list") else [value.type]
    return all(dtype in allowed.type for dtype in types)
