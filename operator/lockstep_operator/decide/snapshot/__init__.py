"""What was seen, parsed once, and what the specs ask for."""
