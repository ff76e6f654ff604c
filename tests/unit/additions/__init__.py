"""Toys that show what an addition costs: one of each kind, with the files that it touches.

A module here says as data what is written into a copy of the sources; the module of the same name
in `checks` runs in that copy and shows that the toy works. `CONTRIBUTING.md` names the same files.
"""
