"""Seconds after which a thing is looked at again that no event tells of."""

REMNANT_SECONDS = 5.0
"""Children of a deleted release that still hold a name."""
REFUSED_AGAIN_SECONDS = 30.0
"""A write that the API server refused."""
