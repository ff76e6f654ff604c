"""Words that every room uses: times, reasons, conditions, comparison, hashes, lines, hints."""
