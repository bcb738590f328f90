"""Text itself: what counts as white space and what as nothing, and where sentences end."""
