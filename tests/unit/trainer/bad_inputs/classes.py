"""Sets that are sound, but have nothing to train or to evaluate on."""

from __future__ import annotations

import numpy as np

from tests.unit.trainer.bad_inputs.corner import ROWS, VECTORS
from tests.unit.trainer.bad_inputs.making import DATA, Bad, also, at, by_shop, npz

IN_CLASSES = (
    Bad(
        "classes: one",
        npz(labels=np.full(ROWS, "one")),
        DATA,
        ("the set has 1 classes", "at least two classes"),
    ),
    Bad(
        "classes: all of one item",
        npz(labels=np.arange(ROWS)),
        DATA,
        (
            "only 0 training classes have at least 2 items",
            "add items",
            "held-out classes, all with 1 item",
        ),
    ),
    Bad(
        "classes: fewer than a batch",
        at(batch__classes=9),
        DATA,
        ("batch.classes is 9, but only 7", "at most 7"),
    ),
    Bad(
        "classes: too few of them",
        npz(labels=np.repeat(["a", "b"], 12)),
        DATA,
        ("only 1 training classes", "evalFraction"),
    ),
    Bad(
        "split: by Hash, pairs torn apart",
        at(data__split={"by": "Hash", "evalFraction": "0.05"}),
        DATA,
        ("held-out classes, all with 1 item", "raise split.evalFraction", "split.by Class"),
    ),
    Bad(
        "split: by Hash, equal items",
        also(npz(inputs=VECTORS * 0), at(data__split={"by": "Hash"})),
        DATA,
        ("by Hash no item of 24 is held out", "split.seed"),
    ),
    Bad(
        "split: by Group, one of them",
        also(npz(shop=np.full(ROWS, 7)), by_shop),
        DATA,
        ("the set has 1 groups", "7"),
    ),
    Bad(
        "split: by Group, few groups",
        also(npz(shop=np.arange(3)), by_shop),
        DATA,
        ("`shop` has 3 rows, `inputs` 24",),
    ),
)
