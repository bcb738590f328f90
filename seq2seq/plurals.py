"""A number with its noun, in messages and displays."""


def pluralize(count: float, noun: str) -> str:
    """`1 batch`, `2 batches`, `1 hypothesis`, `3 hypotheses`, `3,000 updates`, `0.5 minutes`."""
    if noun.endswith("sis"):
        plural = f"{noun.removesuffix('is')}es"
    else:
        plural = f"{noun}es" if noun.endswith("tch") else f"{noun}s"
    return f"{count:,}".removesuffix(".0") + f" {noun if count == 1 else plural}"
