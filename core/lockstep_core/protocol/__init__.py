"""The contracts between the operator and its programs: configs in, results out, names on the wire.

One noun per module. Every body is a pydantic model that forbids unknown fields, so a typo is an
error that names the field and never a silent default.
"""
