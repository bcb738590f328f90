"""Sections about the network: embeddings, encoder, decoder."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from seq2seq.config.section import Rate, Section, bool_or_literal, field
from seq2seq.plurals import pluralize

CellName = Literal[
    "gru",
    "gru_reset_before",
    "mgu",
    "lstm",
    "peephole_lstm",
    "cifg",
    "depth_gated_lstm",
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
    "Lei et al. 2018 (sru); Ba et al. 2016 (layer_norm_*); Elman 1990 (elman*); Le et al. 2015 (irnn); "
    "Jordan 1986 (jordan); Koutník et al. 2014 (clockwork)"
)
CLOCKWORK_GROUPS = 4  # groups of units
VARIATIONAL_DROPOUT_PAPER = "Gal and Ghahramani 2016"
TYING = {
    "none": "source, target and output have a table each",
    "target": "the output layer is the target's table",
    "all": "one table for source, target and output",
}
DIRECTIONS = {
    True: "the bottom layer reads both ways",
    False: "reads one way",
    "all": "every layer reads both ways",
    "alternating": "two stacks of alternating direction",
}


class TargetEmbeddingsConfig(Section):
    """Embeddings, and what shares their weights."""

    size: int = field(256, "Width of a token's vector.", ge=1)
    tied: Literal["none", "target", "all"] = field(
        "target",
        "`target`: the output layer is the target embedding; `all`: source, target and output share one table (joint "
        "tokenizer only).",
        paper="Press and Wolf 2017",
    )
    dropout: Rate = field(0.0, "On single numbers of the vectors.", paper="Srivastava et al. 2014")
    target_word_dropout: Rate = field(
        0.0, "Share of the decoder's input tokens whose whole vector is zeroed.", paper="Sennrich et al. 2016 (WMT)"
    )

    def describe(self) -> str:
        return f"{self.size} units; {TYING[self.tied]}"


class EmbeddingsConfig(TargetEmbeddingsConfig):
    """Source and target embeddings, and what shares their weights."""

    source_word_dropout: Rate = field(
        0.0, "Share of source tokens whose whole vector is zeroed.", paper="Sennrich et al. 2016 (WMT)"
    )


class LanguageModelEmbeddingsConfig(TargetEmbeddingsConfig):
    """Embeddings, and what shares their weights."""

    tied: Literal["none", "target"] = field(
        "target", "`target`: the output layer is the embedding.", paper="Press and Wolf 2017"
    )

    def describe(self) -> str:
        tables = "input and output have a table each" if self.tied == "none" else "one table for input and output"
        return f"{self.size} units; {tables}"


class RecurrentStackConfig(Section):
    """Stacked recurrent layers."""

    cell: CellName = field("gru", "What runs over time.", paper=CELL_PAPERS)
    layers: int = field(1, "Depth of the stack.", ge=1)
    units: int = field(256, "Width of each layer's output; both directions together, where it reads both ways.", ge=1)
    transition_depth: int = field(
        1,
        "Cells one after the other within a time step; above 1 in a stack is BiDeep. In a `cgru` decoder, cells "
        "after the attention.",
        paper="Pascanu et al. 2014; Miceli Barone et al. 2017 (BiDeep)",
        ge=1,
    )
    residual: Residual = field(
        True,
        "Add a layer's input to its output, from the second layer on; `highway`: weigh the two by a learnt gate.",
        paper="Wu et al. 2016 (residual); Srivastava et al. 2015 (highway)",
    )
    layer_norm: bool = field(False, "Normalise every layer's output.", paper="Ba et al. 2016")
    dropout: Rate = field(0.0, "On the output of every layer, the top one's included.")
    variational_dropout: bool = field(
        False, "One mask of `dropout` for all time steps of a sentence.", paper=VARIATIONAL_DROPOUT_PAPER
    )
    recurrent_dropout: Rate = field(
        0.0,
        "On the state that enters the recurrent products, one mask for all time steps of a sentence.",
        paper=VARIATIONAL_DROPOUT_PAPER,
    )

    @model_validator(mode="after")
    def _check_stack(self) -> Self:
        if self.cell == "clockwork" and self.cell_units() % CLOCKWORK_GROUPS:
            raise ValueError(
                f"'units' is {self.units}: 'cell: clockwork' has {CLOCKWORK_GROUPS} groups of equal width in each "
                "direction"
            )
        if self.variational_dropout and not self.dropout:
            raise ValueError("'variational_dropout: True' is about the mask of 'dropout', and 'dropout' is 0")
        return self

    def cell_units(self) -> int:
        """Units of one cell."""
        return self.units

    def min_parameters(self, inputs: int) -> int:
        """What the stack has at least, on inputs of this width."""
        # Two directions halve the units, and a clockwork cell leaves out half of its matrix; the bottom of a stack of
        # SRUs has no matrix over time.
        square = self.units**2 // 4
        return inputs * self.units + square * (self.layers * self.transition_depth - (self.cell == "sru"))

    def describe(self) -> str:
        words = [f"{pluralize(self.layers, 'layer')} of {self.cell}", f"{self.units} units"]
        if self.transition_depth > 1:
            words.append(f"{self.transition_depth} cells a time step")
        if self.layers > 1 and self.residual:
            words.append("highway" if self.residual == "highway" else "residual")
        if self.layer_norm:
            words.append("layer normalisation")
        return ", ".join(words)


class EncoderConfig(RecurrentStackConfig):
    """Stacked recurrent encoder."""

    bidirectional: Directions = field(
        True,
        "`true`: the bottom layer reads both ways, `units / 2` each; `all`: every layer does; `alternating`: two "
        "stacks of `units / 2` that start in opposite directions and turn round at every layer.",
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
    """Recurrent decoder that reads no source."""

    readout_dropout: Rate | None = field(
        None, "On what the output layer reads, before the softmax, one mask per time step; null: as `dropout`."
    )


class DecoderConfig(LanguageModelDecoderConfig):
    """Recurrent decoder, and how it reads the source."""

    type: Literal["luong", "input_feeding", "cgru"] = field(
        "luong",
        "`luong`: attends after its bottom layer, the layers above read the context; `input_feeding`: attends after "
        "its top layer, and the bottom one reads the readout of the step before; `cgru`: two cells with the "
        "attention between them make the bottom layer.",
        paper="Luong et al. 2015 (luong, input_feeding); Sennrich et al. 2017, Nematus (cgru)",
    )
    attention: Literal["none", "additive", "general", "dot", "scaled_dot"] = field(
        "general",
        "How a decoder state is compared with the encoder's; `none`: the source is seen through `bridge` only.",
        paper="Bahdanau et al. 2015 (additive); Luong et al. 2015 (general, dot); Vaswani et al. 2017 (scaled_dot)",
    )
    attention_units: int | None = field(
        None, "Width of `additive`'s hidden layer, and of all heads together; null: `units`.", ge=1
    )
    heads: int = field(
        1, "Attentions side by side, each on its own projections.", paper="Vaswani et al. 2017; Chen et al. 2018", ge=1
    )
    coverage: bool = field(
        False, "Additive attention also sees how much each source position got so far.", paper="See et al. 2017"
    )
    attention_dropout: Rate = field(0.0, "On attention weights.", paper="Vaswani et al. 2017")
    bridge: Literal["dense", "copy", "mean", "max"] = field(
        "dense",
        "What the decoder starts from: a learnt transform of the encoder's last states, these states themselves, or "
        "a learnt transform of the mean or maximum of the top layer's states.",
        paper="Cho et al. 2014 (dense); Sutskever et al. 2014 (copy); Sennrich et al. 2017 (mean)",
    )
    context: Literal["initial", "every_step"] = field(
        "initial",
        "Without attention: what the bridge sums up is the initial state only, or also an input at every step.",
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
                raise ValueError(f"'{wrong[0]}: {getattr(self, wrong[0])}' needs an attention, and 'attention' is none")
        elif self.context != "initial":
            raise ValueError(f"'context: {self.context}' is for 'attention: none', and 'attention' is {self.attention}")
        if self.coverage and (self.attention != "additive" or self.heads > 1):
            raise ValueError("'coverage' belongs to 'attention: additive' with one head")
        if self.attention_units is not None and self.attention != "additive" and self.heads == 1:
            raise ValueError(
                f"'attention_units: {self.attention_units}' is for additive attention or several heads, and "
                f"'attention' is {self.attention}"
            )
        width = self.attention_units or self.units
        if width % self.heads:
            raise ValueError(f"'heads' is {self.heads} and does not divide the attention's width {width}")
        if self.heads > 1 and self.attention == "dot":
            raise ValueError("'attention: dot' has nothing that heads could learn: use general or scaled_dot")
        return self

    def describe(self) -> str:
        words = f"{self.type}, {super().describe()}; starts from the {self.bridge} bridge"
        return words + (" and reads it at every step" if self.context == "every_step" else "")

    def describe_attention(self) -> str:
        details = [self.attention, f"{self.heads} heads" * (self.heads > 1), "coverage" * self.coverage]
        return ", ".join(filter(None, details))
