"""Sections about the network: embeddings, encoder and decoder."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from seq2seq.config.section import Rate, Section, bool_or_literal, field
from seq2seq.plurals import pluralize

CellName = Literal[
    "gru",
    "gru_reset_before",
    "mgu",
    "min_gru",
    "lstm",
    "peephole_lstm",
    "cifg",
    "depth_gated_lstm",
    "slstm",
    "min_lstm",
    "sru",
    "layer_norm_gru",
    "layer_norm_lstm",
    "elman",
    "elman_sigmoid",
    "elman_relu",
    "irnn",
    "jordan",
    "clockwork",
]
Directions = Annotated[bool | Literal["all", "alternating"], bool_or_literal("all", "alternating")]
Residual = Annotated[bool | Literal["highway"], bool_or_literal("highway")]
CELL_PAPERS = (
    "Cho et al. 2014 (gru*); Zhou et al. 2016 (mgu); Hochreiter and Schmidhuber 1997, Gers et al. 2000 (lstm); "
    "Gers and Schmidhuber 2000 (peephole_lstm); Greff et al. 2017 (cifg); Yao et al. 2015 (depth_gated_lstm); "
    "Beck et al. 2024 (slstm); Feng et al. 2024 (min_*); Lei et al. 2018 (sru); Ba et al. 2016 (layer_norm_*); "
    "Elman 1990 (elman*); Le et al. 2015 (irnn); Jordan 1986 (jordan); Koutník et al. 2014 (clockwork)"
)
CLOCKWORK_GROUPS = 4  # groups of units
LINEAR_CELLS = ("min_gru", "min_lstm")  # cells whose gates and candidates read only the input
VARIATIONAL_DROPOUT_PAPER = "Gal and Ghahramani 2016"
TYING = {
    "none": "separate tables for source, target and output",
    "target": "one table for target and output",
    "all": "one table for source, target and output",
}
DIRECTIONS = {
    True: "the bottom layer is bidirectional",
    False: "unidirectional",
    "all": "every layer is bidirectional",
    "alternating": "two stacks of alternating direction",
}


class TargetEmbeddingsConfig(Section):
    """Embeddings, and the weights they share with other layers."""

    size: int = field(256, "Width of a token's embedding vector.", ge=1)
    tied: Literal["none", "target", "all"] = field(
        "target",
        "Weight tying. `target`: the output layer shares the target embedding's table; `all`: source, target and "
        "output share one table (joint tokenizer only).",
        paper="Press and Wolf 2017",
    )
    dropout: Rate = field(0.0, "Element-wise dropout on embeddings.", paper="Srivastava et al. 2014")
    target_word_dropout: Rate = field(
        0.0,
        "Word dropout on the target: share of the decoder's input tokens whose whole vector is zeroed.",
        paper="Sennrich et al. 2016 (WMT)",
    )

    def describe(self) -> str:
        return f"{self.size} units; {TYING[self.tied]}"


class EmbeddingsConfig(TargetEmbeddingsConfig):
    """Source and target embeddings, and the weights they share with other layers."""

    source_word_dropout: Rate = field(
        0.0,
        "Word dropout on the source: share of tokens whose whole vector is zeroed.",
        paper="Sennrich et al. 2016 (WMT)",
    )


class LanguageModelEmbeddingsConfig(TargetEmbeddingsConfig):
    """Embeddings, and the weights they share with other layers."""

    tied: Literal["none", "target"] = field(
        "target", "Weight tying. `target`: the output layer shares the embedding's table.", paper="Press and Wolf 2017"
    )

    def describe(self) -> str:
        tables = "separate tables for input and output" if self.tied == "none" else "one table for input and output"
        return f"{self.size} units; {tables}"


class RecurrentStackConfig(Section):
    """Stacked recurrent layers."""

    cell: CellName = field("gru", "Recurrent cell.", paper=CELL_PAPERS)
    layers: int = field(1, "Number of layers.", ge=1)
    units: int = field(
        256, "Width of each layer's output; in a bidirectional layer, of both directions together.", ge=1
    )
    transition_depth: int = field(
        1,
        "Number of cells applied in sequence within a time step (deep transition); with several layers, a number above "
        "1 makes a BiDeep network. In a `cgru` decoder, number of cells after the attention.",
        paper="Pascanu et al. 2014; Miceli Barone et al. 2017 (BiDeep)",
        ge=1,
    )
    residual: Residual = field(
        True,
        "Residual connections: add a layer's input to its output, from the second layer on; `highway`: weight the two "
        "by a learnt gate.",
        paper="Wu et al. 2016 (residual); Srivastava et al. 2015 (highway)",
    )
    layer_norm: bool = field(False, "Normalise every layer's output.", paper="Ba et al. 2016")
    dropout: Rate = field(0.0, "Dropout on the output of every layer, including the top one.")
    variational_dropout: bool = field(
        False, "Use the same mask of `dropout` at all time steps of a sentence.", paper=VARIATIONAL_DROPOUT_PAPER
    )
    recurrent_dropout: Rate = field(
        0.0,
        "Dropout on the previous state in recurrent products, with the same mask at all time steps of a sentence.",
        paper=VARIATIONAL_DROPOUT_PAPER,
    )

    @model_validator(mode="after")
    def _check_stack(self) -> Self:
        if self.cell == "clockwork" and self.cell_units() % CLOCKWORK_GROUPS:
            raise ValueError(
                f"'units' is {self.units}: 'cell: clockwork' needs {CLOCKWORK_GROUPS} groups of equal width in each "
                "direction"
            )
        if self.cell in LINEAR_CELLS and self.transition_depth > 1:
            raise ValueError(
                f"'transition_depth' is {self.transition_depth}: 'cell: {self.cell}' computes its gates from its "
                "input, and only the first cell of a time step has one. Use 1; for a deeper network, raise 'layers'"
            )
        if self.cell in LINEAR_CELLS and self.recurrent_dropout:
            raise ValueError(
                f"'recurrent_dropout' is {self.recurrent_dropout}: 'cell: {self.cell}' has no recurrent product to "
                "which it could apply. Use 0, and 'dropout' with 'variational_dropout: true'"
            )
        if self.variational_dropout and not self.dropout:
            raise ValueError("'variational_dropout: true' needs a 'dropout' above 0")
        return self

    def cell_units(self) -> int:
        """Units of one cell."""
        return self.units

    def min_parameters(self, inputs: int) -> int:
        """A lower bound of the number of parameters of the stack, for inputs of this width."""
        # Two directions halve the units, and a clockwork cell omits half of its matrix. Without recurrent matrices,
        # only the first cell of each layer has a matrix, and that of the bottom layer is the one for the inputs.
        without_recurrent_matrix = self.cell in (*LINEAR_CELLS, "sru")
        matrices = self.layers - 1 if without_recurrent_matrix else self.layers * self.transition_depth
        return inputs * self.units + self.units**2 // 4 * matrices

    def describe(self) -> str:
        words = [f"{pluralize(self.layers, 'layer')} of {self.cell}", f"{self.units} units"]
        if self.transition_depth > 1:
            words.append(f"{self.transition_depth} cells per time step")
        if self.layers > 1 and self.residual:
            words.append("highway" if self.residual == "highway" else "residual")
        if self.layer_norm:
            words.append("layer normalisation")
        return ", ".join(words)


class EncoderConfig(RecurrentStackConfig):
    """Stacked recurrent encoder."""

    bidirectional: Directions = field(
        True,
        "`true`: the bottom layer is bidirectional, with `units / 2` per direction; `all`: every layer is; "
        "`alternating`: two stacks of `units / 2` that start in opposite directions and change direction at every "
        "layer; `false`: all layers read from left to right.",
        paper="Schuster and Paliwal 1997; Zhou et al. 2016 (alternating)",
    )

    @model_validator(mode="after")
    def _check_units(self) -> Self:
        if self.bidirectional and self.units % 2:
            raise ValueError(f"'units' is {self.units}: a bidirectional encoder needs an even number")
        return self

    def cell_units(self) -> int:
        return self.units // 2 if self.bidirectional else self.units

    def describe(self) -> str:
        return f"{super().describe()}; {DIRECTIONS[self.bidirectional]}"


class LanguageModelDecoderConfig(RecurrentStackConfig):
    """Recurrent decoder without a source."""

    readout_dropout: Rate | None = field(
        None, "Dropout on the input of the output layer, with a new mask at each time step; null: as `dropout`."
    )


class DecoderConfig(LanguageModelDecoderConfig):
    """Recurrent decoder, and its attention to the source."""

    type: Literal["luong", "input_feeding", "cgru"] = field(
        "luong",
        "Decoder architecture. `luong`: attention follows the bottom layer, and the layers above read its context; "
        "`input_feeding`: attention follows the top layer, and the bottom layer reads the readout of the previous "
        "step; `cgru`: the bottom layer consists of two cells with attention between them.",
        paper="Luong et al. 2015 (luong, input_feeding); Sennrich et al. 2017, Nematus (cgru)",
    )
    attention: Literal["none", "additive", "general", "dot", "scaled_dot"] = field(
        "general",
        "Attention score of a decoder state and an encoder state; `none`: no attention, the decoder sees the source "
        "only through `bridge`.",
        paper="Bahdanau et al. 2015 (additive); Luong et al. 2015 (general, dot); Vaswani et al. 2017 (scaled_dot)",
    )
    attention_units: int | None = field(
        None, "Width of the hidden layer of `additive`, or of several heads together; null: `units`.", ge=1
    )
    heads: int = field(
        1,
        "Number of attention heads, each with its own projections.",
        paper="Vaswani et al. 2017; Chen et al. 2018",
        ge=1,
    )
    coverage: bool = field(
        False,
        "Give additive attention the total attention that each source position has received so far.",
        paper="See et al. 2017",
    )
    attention_dropout: Rate = field(0.0, "Dropout on attention weights.", paper="Vaswani et al. 2017")
    bridge: Literal["dense", "copy", "mean", "max"] = field(
        "dense",
        "Initial state of the decoder. `dense`: a learnt transform of the encoder's last states; `copy`: these states "
        "themselves; `mean`, `max`: a learnt transform of the mean or maximum of the top layer's states.",
        paper="Cho et al. 2014 (dense); Sutskever et al. 2014 (copy); Sennrich et al. 2017 (mean)",
    )
    context: Literal["initial", "every_step"] = field(
        "initial",
        "Use of the bridge's summary of the source in a decoder without attention. `initial`: only as the initial "
        "state; `every_step`: also as an input at every step.",
        paper="Sutskever et al. 2014 (initial); Cho et al. 2014 (every_step)",
    )

    @model_validator(mode="after")
    def _check_attention(self) -> Self:
        if self.attention == "none":
            needs = {
                "type": self.type != "luong",
                "heads": self.heads > 1,
                "coverage": self.coverage,
                "attention_units": self.attention_units is not None,
                "attention_dropout": self.attention_dropout > 0,
            }
            wrong = [name for name, asked in needs.items() if asked]
            if wrong:
                raise ValueError(f"'{wrong[0]}: {getattr(self, wrong[0])}' needs attention, but 'attention' is none")
        elif self.context != "initial":
            raise ValueError(f"'context: {self.context}' is for 'attention: none', but 'attention' is {self.attention}")
        if self.coverage and (self.attention != "additive" or self.heads > 1):
            raise ValueError("'coverage' needs 'attention: additive' with one head")
        if self.attention_units is not None and self.attention != "additive" and self.heads == 1:
            raise ValueError(
                f"'attention_units: {self.attention_units}' is for additive attention or several heads, but "
                f"'attention' is {self.attention} with one head"
            )
        width = self.attention_units or self.units
        if width % self.heads:
            raise ValueError(f"'heads' is {self.heads}, which does not divide the attention's width {width}")
        if self.heads > 1 and self.attention == "dot":
            raise ValueError("'attention: dot' has no weights for several heads to learn: use general or scaled_dot")
        return self

    def describe(self) -> str:
        words = f"{self.type}, {super().describe()}; initial state from the {self.bridge} bridge"
        return words + (", which is also an input at every step" if self.context == "every_step" else "")

    def describe_attention(self) -> str:
        details = [self.attention, f"{self.heads} heads" * (self.heads > 1), "coverage" * self.coverage]
        return ", ".join(filter(None, details))
