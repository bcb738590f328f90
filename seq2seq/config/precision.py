"""Names of the precisions that a model computes in, and the best one for a GPU. Imports nothing heavy."""

from typing import Literal, get_args

Precision = Literal["float32", "tf32", "mixed_float16", "mixed_bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Capability = tuple[int, int]  # compute capability of an NVIDIA GPU, major and minor; (0, 0) where there is none

# Tensor cores multiply float16 from Volta on, and bfloat16 and TF32 from Ampere on.
FLOAT16_CAPABILITY: Capability = (7, 0)
BFLOAT16_CAPABILITY: Capability = (8, 0)
TF32_CAPABILITY: Capability = (8, 0)


def best_precision(capability: Capability) -> Precision:
    """The meaning of `auto` on a GPU: the fastest precision of its tensor cores; float32 if it has none."""
    if capability >= BFLOAT16_CAPABILITY:
        return "mixed_bfloat16"
    return "mixed_float16" if capability >= FLOAT16_CAPABILITY else "float32"


def policy_name(precision: Precision) -> str:
    """The name of Keras's dtype policy: `tf32` differs from `float32` in its products only, not in any dtype."""
    return "float32" if precision == "tf32" else precision
