"""Recall, intervals and verdicts.

Imports nothing itself: the operator judges with `intervals` and `verdicts`, which need the standard
library alone; `recall` and `statistics` need numpy, which the operator does not have.
"""
