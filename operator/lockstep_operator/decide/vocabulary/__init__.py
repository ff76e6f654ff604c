"""What all decisions use: times, reasons, conditions, comparison, hashes, lines, hints."""
