"""`kubectl lockstep`: a release at a glance, and the verbs that its status offers.

It reads what `kubectl` can read and writes annotations alone: everything that it does can be done
with `kubectl get` and `kubectl annotate`.
"""
