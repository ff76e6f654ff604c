"""How long a pass waits before it looks again at what does not come by itself, in seconds."""

# A write that the API server refused: it is sent again.
REFUSED_AGAIN_SECONDS = 30.0
# An object of a previous identity that is still going, by the name of one that is to be made.
REMNANT_SECONDS = 5.0
# What does not start is looked at again: its Events change without news of the object.
UNSTARTED_SECONDS = 30.0
