"""Numbers with nouns in messages and displays."""


def pluralize(count: float, noun: str) -> str:
    """Format a number with its noun: `1 batch`, `2 batches`, `3 hypotheses`, `3,000 updates`, `0.5 minutes`."""
    if noun.endswith("sis"):
        plural = f"{noun.removesuffix('is')}es"
    else:
        plural = f"{noun}es" if noun.endswith("tch") else f"{noun}s"
    return f"{count:,}".removesuffix(".0") + f" {noun if count == 1 else plural}"
