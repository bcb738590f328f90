"""Text that breaks programs, as strategies: one sentence, which holds any character but a line feed."""

from hypothesis import strategies as st

# What other programs take for the end of a line; and the characters that SentencePiece and TSV keep for themselves.
LINE_ENDS = "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
PIECES = [
    *LINE_ENDS,
    "\0",
    "\t",
    "\x7f",
    "\u200b",  # zero width
    "\u3000",  # wide space
    "\u00a0",
    "\ufeff",  # byte order mark
    "\ufffd",
    "\u2581",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<0x0A>",
    "e\u0301",  # what NFC composes
    "o\u0323\u0302\u0308",
    "\U0001d15e",  # what NFC decomposes
    "\u0915\u094d\u0937\u093f",  # Devanagari
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",  # a family, joined
    "\U0001f1e9\U0001f1ea",  # a flag
    "\u263a\ufe0f",
    "\u05e9\u05dc\u05d5\u05dd",  # Hebrew
    "\u202e\u0627\u0644\u202c",  # Arabic, turned round by controls
    "\u2067abc\u2069",
    "\uff76\uff9e\uff71",  # half-width katakana with a voicing mark
    "\uff34\uff28\uff25",  # full-width Latin
    "\u4eca\u65e5\u306f\u3002",
    "\U0010ffff",
    "the dog sees",
    "the king loves bird here.",
    " ",
    "   ",
    "!!!",
    '."',
    "0123456789",
]
BLANK = st.text(" \u3000\u00a0\t\u2003\u200b" + LINE_ENDS, max_size=6)

sentences = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=30),
    BLANK,
)
# What Python's strings may hold, and files may not.
broken = st.text(st.one_of(st.characters(exclude_characters="\n"), st.characters(categories=["Cs"])), max_size=20)
