"""Published weights that a training begins with, and how an encoder reads texts. Needs no torch."""
