"""Several processes that train one encoder, on one machine or on many.

Each embeds its slice of one batch, all compare the whole batch, and the gradients are added up:
loss, gradient and weights are those of one process. Process 0 decides everything and alone
reports, measures, saves and publishes; the others follow its orders.
"""
