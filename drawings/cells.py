"""Cells: LSTM, with peepholes, and GRU. Inputs stand on the left, outputs on the right."""

from drawings.canvas import LIGHT, Canvas, Theme

GATES = 300.0  # y of the gates
FROM_STATE, FROM_INPUT = 372.0, 408.0  # y of the two lines that feed them
BOX = 106.0, 56.0


def gate(canvas: Canvas, x: float, name: str, function: str) -> None:
    """A gate or candidate, and the arrows that feed it."""
    bottom = GATES + BOX[1] / 2
    for shift, line, colour in ((-16, FROM_STATE, "state"), (16, FROM_INPUT, "input")):
        crossed = [(x + shift, FROM_STATE)] if line == FROM_INPUT else []
        canvas.line((x + shift, line), (x + shift, bottom), colour=colour, over=crossed)
        canvas.dot(x + shift, line, colour)
    gate_box(canvas, x, name, function)


def gate_box(canvas: Canvas, x: float, name: str, function: str) -> None:
    canvas.box(x, GATES, *BOX)
    canvas.words(x, GATES - 6, name)
    canvas.symbol(x, GATES + 17, function)


def inputs(canvas: Canvas, last_state: float, last_input: float) -> None:
    """The lines of hidden state and input, from the left to their last gate."""
    for y, end, name, colour in (
        (FROM_INPUT, last_input, "x_t", "input"),
        (FROM_STATE, last_state, "h_{t−1}", "state"),
    ):
        canvas.line((66, y), (end, y), colour=colour, arrow=False)
        canvas.symbol(36, y + 6, name, colour)


def lstm(theme: Theme = LIGHT, peepholes: bool = False) -> Canvas:
    """LSTM, with or without peepholes."""
    title = "LSTM cell with peepholes" if peepholes else "LSTM cell"
    more = " Peepholes, dashed, lead from the old cell state to two gates, and from the new one to the output gate."
    canvas = Canvas(
        theme,
        850,
        450,
        title,
        "The cell state runs along the top: it is multiplied by the forget gate, and the product of input gate and "
        "candidate is added. The output gate multiplies tanh of the new cell state, which gives the hidden state. "
        "Hidden state and input feed the three gates and the candidate from below." + more * peepholes,
    )
    top, forget, write, candidate, output, read = 92, 220, 350, 480, 610, 710
    canvas.box(435, 226, 650, 420, "muted", "page")
    inputs(canvas, output - 16, output + 16)
    for x, name, function in (
        (forget, "forget gate", "σ"),
        (write, "input gate", "σ"),
        (candidate, "candidate", "tanh"),
        (output, "output gate", "σ"),
    ):
        gate(canvas, x, name, function)
    middle = (write + candidate) // 2
    canvas.line((66, top), (forget - 17, top))
    canvas.line((forget + 15, top), (middle - 17, top))
    canvas.line((middle + 15, top), (790, top))
    canvas.symbol(36, top + 6, "c_{t−1}")
    canvas.symbol(821, top + 6, "c_t")
    gates_top = GATES - BOX[1] / 2
    canvas.line((forget, gates_top), (forget, top + 17))
    canvas.line((write, gates_top), (write, 196), (middle - 17, 196))
    canvas.line((candidate, gates_top), (candidate, 196), (middle + 17, 196))
    canvas.line((middle, 181), (middle, top + 17))
    canvas.dot(read, top, "ink")
    canvas.line((read, top), (read, 181))
    canvas.box(read, 144, 58, 30)
    canvas.symbol(read, 150, "tanh", size=19)
    canvas.line((output, gates_top), (output, 198), (read - 17, 198))
    canvas.line((read, 213), (read, FROM_STATE), (790, FROM_STATE), colour="state")
    canvas.symbol(821, FROM_STATE + 6, "h_t", "state")
    for x, y, sign in ((forget, top, "×"), (middle, top, "+"), (middle, 196, "×"), (read, 198, "×")):
        canvas.node(x, y, sign)
    for x, y, name in ((forget, 246, "f_t"), (write, 246, "i_t"), (candidate, 246, "g_t"), (output, 246, "o_t")):
        canvas.symbol(x + 16, y, name, size=19)
    for x, y, text in ((forget, 58, "keep"), (middle, 58, "add")):
        canvas.words(x, y, text, "muted")
    canvas.words(middle, 228, "write", "muted")
    canvas.words(read - 26, 222, "show", "muted", anchor="end")
    if peepholes:
        draw_peepholes(canvas, top, forget, write, output)
    return canvas


def draw_peepholes(canvas: Canvas, top: float, forget: float, write: float, output: float) -> None:
    """Dashed lines from the cell state to the gates."""
    gates_top, branch = GATES - BOX[1] / 2, 142
    canvas.line((branch, top), (branch, GATES), (forget - BOX[0] / 2, GATES), colour="cell", dashed=True)
    canvas.line(
        (branch, 150), (write - 30, 150), (write - 30, gates_top), colour="cell", dashed=True, over=[(forget, 150)]
    )
    canvas.line((output - 30, top), (output - 30, gates_top), colour="cell", dashed=True)
    for x, y in ((branch, top), (branch, 150), (output - 30, top)):
        canvas.dot(x, y, "cell")
    for x, y, name in ((branch - 16, 240, "p_f"), (write - 48, 246, "p_i"), (output - 48, 170, "p_o")):
        canvas.symbol(x, y, name, "cell", size=19)


def gru(theme: Theme = LIGHT) -> Canvas:
    """GRU with the reset gate after the product, in which an open update gate keeps."""
    canvas = Canvas(
        theme,
        850,
        450,
        "GRU cell",
        "The hidden state runs along the top: it is multiplied by the update gate z, and the candidate, multiplied by "
        "1 - z, is added. The reset gate multiplies the product of the recurrent matrix and the old state, which the "
        "candidate reads beside the input.",
    )
    top, update, reset, product, candidate = 92, 230, 370, 520, 640
    gates_top, bottom = GATES - BOX[1] / 2, GATES + BOX[1] / 2
    canvas.box(435, 226, 650, 420, "muted", "page")
    inputs(canvas, product - 17, candidate + 16)
    gate(canvas, update, "update gate", "σ")
    gate(canvas, reset, "reset gate", "σ")
    canvas.dot(140, FROM_STATE, "state")
    canvas.line((140, FROM_STATE), (140, top), (update - 17, top), colour="state")
    canvas.line((update + 15, top), (candidate - 17, top), colour="state")
    canvas.line((candidate + 15, top), (790, top), colour="state")
    canvas.symbol(821, top + 6, "h_t", "state")
    canvas.line((update, gates_top), (update, top + 17))
    canvas.dot(update, 170, "ink")
    canvas.line((update, 170), (430, 170))
    canvas.line((430, 170), (candidate - 17, 170))
    canvas.box(430, 170, 62, 32)
    canvas.symbol(430, 176, "1 − z_t", size=18)
    canvas.line((candidate, gates_top), (candidate, 187))
    canvas.line((candidate, 155), (candidate, top + 17))
    canvas.line((reset, gates_top), (reset, 232), (product, 232), (product, FROM_STATE - 17))
    canvas.line((product + 15, FROM_STATE), (candidate - 16, FROM_STATE), (candidate - 16, bottom), colour="state")
    canvas.line((candidate + 16, FROM_INPUT), (candidate + 16, bottom), colour="input")
    canvas.dot(candidate + 16, FROM_INPUT, "input")
    gate_box(canvas, candidate, "candidate", "tanh")
    canvas.box(456, FROM_STATE, 44, 32, "state")
    canvas.symbol(456, FROM_STATE + 6, "R_n", size=18)
    for x, y, sign in ((update, top, "×"), (candidate, top, "+"), (candidate, 170, "×"), (product, FROM_STATE, "×")):
        canvas.node(x, y, sign)
    for x, y, name in ((update, 232, "z_t"), (reset, 258, "r_t"), (candidate, 246, "n_t")):
        canvas.symbol(x + 16, y, name, size=19)
    canvas.words(update, 58, "keep", "muted")
    canvas.words(candidate, 58, "add", "muted")
    canvas.words(candidate + 24, 176, "write", "muted", anchor="start")
    return canvas
