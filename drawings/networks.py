"""Networks: folded and unrolled, encoder-decoder with each form of the context, and with attention."""

from drawings.canvas import LIGHT, Canvas, Theme

SOURCE, TARGET = ("The", "girl", "sleeps", "."), ("Das", "Mädchen", "schläft")


def state(canvas: Canvas, x: float, y: float, name: str, colour: str = "ink", width: float = 58) -> None:
    """A hidden state."""
    canvas.box(x, y, width, 46, colour)
    canvas.symbol(x, y + 7, name)


def unrolled(theme: Theme = LIGHT) -> Canvas:
    """The same network folded, and unrolled over three time steps and the last one."""
    canvas = Canvas(
        theme,
        860,
        320,
        "A recurrent network, folded and unrolled",
        "On the left, one hidden layer h reads the input x through U and itself through W, and gives the output o "
        "through V. On the right, the same network as a chain with one copy per time step; all copies share U, W, V.",
    )
    low, middle, high = 222, 137, 52

    def step(x: float, index: str) -> None:
        subscript = f"_{index}" if index else ""
        canvas.line((x, low - 23), (x, middle + 24), colour="input")
        canvas.line((x, middle - 23), (x, high + 20), colour="output")
        for y, name, colour in ((low, "x", "input"), (high, "o", "output")):
            canvas.node(x, y, "", colour, radius=22)
            canvas.symbol(x, y + 6, name + subscript)
        state(canvas, x, middle, "h" + subscript)
        canvas.symbol(x + 15, middle + 51, "U", "input")
        canvas.symbol(x + 15, middle - 35, "V", "output")

    folded = 90
    canvas.line(
        (folded + 29, middle - 14), (folded + 72, middle - 14), (folded + 72, middle + 14), (folded + 30, middle + 14),
        colour="state",
    )  # fmt: skip
    step(folded, "")
    canvas.symbol(folded + 90, middle + 7, "W", "state")
    canvas.words(242, middle - 14, "unrolled", "muted")
    canvas.line((208, middle), (276, middle), colour="muted")
    places = [390, 510, 630, 790]
    canvas.symbol(308, middle + 7, "h_0")
    for before, after in zip([297, *places[:2]], places[:3], strict=True):
        canvas.line((before + 29, middle), (after - 30, middle), colour="state")
        canvas.symbol((before + after) / 2, middle - 12, "W", "state")
    canvas.line((places[2] + 29, middle), (694, middle), colour="state")
    canvas.symbol(713, middle + 6, "…")
    canvas.line((730, middle), (places[3] - 30, middle), colour="state")
    for x, index in zip(places, "123T", strict=True):
        step(x, index)
    for x, text in ((places[0], "step 1"), (places[1], "step 2"), (places[2], "step 3"), (places[3], "step T")):
        canvas.words(x, low + 44, text, "muted")
    canvas.words(folded, low + 44, "folded", "muted")
    canvas.words(430, 304, "U input weights · W recurrent weights · V output weights: the same matrices at every step")
    return canvas


def encoder_decoder(theme: Theme = LIGHT) -> Canvas:
    """Encoder-decoder with the three forms of the context c."""
    canvas = Canvas(
        theme,
        880,
        590,
        "Encoder-decoder with three forms of the context c",
        "In each row an encoder reads three words, a vector c is made of its states, and a decoder starts from c: c is "
        "the last state, a transformation of the last state, or a transformation of all states.",
    )
    rows = (
        (120, "c is the last state", "c = h_3"),
        (300, "c is a transformation of the last state", "c = q(h_3)"),
        (480, "c is a transformation of all states", "c = q(h_1, h_2, h_3)"),
    )
    encoder, decoder, context = (80, 180, 280), (620, 720, 820), 480
    for y, text, formula in rows:
        canvas.words(30, y - 74, text, anchor="start", bold=True, size=16)
        canvas.symbol(404, y - 74, formula, anchor="start")
        for places, name, words in ((encoder, "h", SOURCE), (decoder, "s", TARGET)):
            for number, (x, word) in enumerate(zip(places, words, strict=False), start=1):
                if number < 3:
                    canvas.line((x + 29, y), (places[number] - 30, y), colour="state")
                state(canvas, x, y, f"{name}_{number}")
                canvas.words(x, y + 66 if name == "h" else y - 46, word)
                if name == "h":
                    canvas.line((x, y + 50), (x, y + 24), colour="input")
                else:
                    canvas.line((x, y - 23), (x, y - 40), colour="output")
        if y == rows[0][0]:
            canvas.line((309, y), (context - 24, y), colour="state")
        elif y == rows[1][0]:
            canvas.line((309, y), (355, y), colour="state")
            canvas.line((405, y), (context - 24, y), colour="state")
        else:
            for x in encoder:
                canvas.line((x + 14, y - 23), (x + 14, y - 48), (380, y - 48), (380, y - 24), colour="state")
            canvas.line((405, y), (context - 24, y), colour="state")
        if y != rows[0][0]:
            canvas.box(380, y, 48, 46, "state")
            canvas.symbol(380, y + 7, "q")
        canvas.line((context + 22, y), (decoder[0] - 30, y), colour="cell")
        for x in decoder:
            canvas.line((context, y + 22), (context, y + 60), (x, y + 60), (x, y + 24), colour="cell", dashed=True)
        canvas.node(context, y, "", "cell", radius=22)
        canvas.symbol(context, y + 6, "c")
    canvas.words(
        440,
        574,
        "solid: c is the first state of the decoder   ·   dashed: c is read at every step, too or instead",
        "muted",
    )
    return canvas


def attention(theme: Theme = LIGHT) -> Canvas:
    """Encoder-decoder with attention, at the second target word."""
    canvas = Canvas(
        theme,
        860,
        430,
        "Encoder-decoder with attention",
        "At the second target word, the decoder's state is compared with all encoder states. The softmax of the "
        "scores gives weights, of which the second is the largest; the weighted mean of the states is the context, "
        "from which, with the decoder's state, the word is predicted.",
    )
    low, weights_y, sum_y = 320, 205, 90
    encoder, decoder, weights = (80, 180, 280, 380), (560, 680, 800), (0.04, 0.88, 0.05, 0.03)
    canvas.box(230, weights_y, 412, 62, "muted", "page", dashed=True)
    for number, (x, word) in enumerate(zip(encoder, SOURCE, strict=True), start=1):
        if number < 4:
            canvas.line((x + 29, low - 8), (encoder[number] - 30, low - 8), colour="state")
            canvas.line((encoder[number] - 29, low + 9), (x + 30, low + 9), colour="state")
        canvas.line((x, low + 50), (x, low + 24), colour="input")
        canvas.words(x, low + 68, word)
    for number, (x, weight) in enumerate(zip(encoder, weights, strict=True), start=1):
        end = (230 + (x - 230) * 0.1, sum_y + 19)
        canvas.line((x, low - 23), (x, weights_y + 16), arrow=False, width=1 + 6 * weight)
        canvas.line((x, weights_y - 12), end, arrow=False, width=1 + 6 * weight)
        canvas.box(x, weights_y, 90, 40)
        canvas.symbol(x, weights_y + 6, f"α_{number} = {weight:.2f}", size=16.5)
        state(canvas, x, low, f"h_{number}")
    canvas.node(230, sum_y, "+", radius=17)
    canvas.line((409, low), (decoder[0] - 30, low), colour="state")
    canvas.words((409 + decoder[0] - 29) / 2, low - 12, "first state", "state", size=14)
    for number, (x, word) in enumerate(zip(decoder, ("<s>", *TARGET[:2]), strict=True), start=1):
        if number < 3:
            canvas.line((x + 29, low), (decoder[number] - 30, low), colour="state")
        canvas.line((x, low + 50), (x, low + 24), colour="input")
        canvas.words(x, low + 68, word)
        state(canvas, x, low, f"s_{number}")
    x = decoder[1]
    canvas.line((x, low - 23), (x, sum_y + 24), colour="output")
    canvas.dot(x, weights_y, "output")
    canvas.line((x, weights_y), (438, weights_y), colour="cell")
    canvas.symbol(558, weights_y - 12, "α = softmax(score(s_2, h_j))", "cell", size=18)
    canvas.line((248, sum_y), (x - 76, sum_y), colour="output")
    canvas.words(366, sum_y - 14, "context", "output")
    canvas.symbol(404, sum_y - 13, "c_2 = Σ α_j h_j", "output", size=19, anchor="start")
    canvas.box(x, sum_y, 150, 44, "output")
    canvas.symbol(x, sum_y + 6, "tanh, softmax", size=18)
    canvas.line((x, sum_y - 22), (x, 46), colour="output")
    canvas.words(x, 36, TARGET[1], bold=True)
    canvas.words(230, 416, "encoder, both directions", "muted")
    canvas.words(680, 416, "decoder", "muted")
    return canvas
