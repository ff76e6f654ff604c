"""Configs that are wrong, or ask for what the set is not."""

from __future__ import annotations

from tests.unit.trainer.bad_inputs.making import CONFIG, Bad, also, at, drop, lines

IN_CONFIG = (
    Bad("no JSON", lambda c: c.config.clear(), CONFIG, ("release: is missing", "set `training`")),
    Bad("a typo", at(budget__maxStep=3), CONFIG, ("budget.maxStep", "did you mean `maxSteps`")),
    Bad("no budget", drop("training", "budget"), CONFIG, ("training.budget", "is missing")),
    Bad("no data", drop("training", "data"), CONFIG, ("set `training.data`",)),
    Bad("no store", drop("artifacts"), CONFIG, ("set `artifacts`",)),
    Bad("no steps", at(budget__maxSteps=0), CONFIG, ("budget.maxSteps", "greater than", "0")),
    Bad("steps as text", at(budget__maxSteps="many"), CONFIG, ("maxSteps", "'many'", "integer")),
    Bad("unknown loss", at(loss__name="Tripplet"), CONFIG, ("loss.name", "Tripplet", "'Triplet'")),
    Bad("unknown encoder", at(encoder__kind="ResNet"), CONFIG, ("ResNet", "set `kind` to 'CNN'")),
    Bad("unknown miner", at(mining__strategy="semihard"), CONFIG, ("semihard", "'SemiHard'")),
    Bad("one class a batch", at(batch__classes=1), CONFIG, ("batch.classes", "1", "2")),
    Bad("one item a class", at(batch__perClass=1), CONFIG, ("batch.perClass", "1", "2")),
    Bad(
        "all held out",
        at(data__split__evalFraction="1.0"),
        CONFIG,
        ("evalFraction", "'1.0'", "0 and 1"),
    ),
    Bad(
        "a fraction as a number",
        at(data__split__evalFraction=0.1),
        CONFIG,
        ("evalFraction", "0.1", "string"),
    ),
    Bad("a negative seed", at(seed=-1), CONFIG, ("training.seed", "-1", "0")),
    Bad(
        "a digest of another kind",
        at(data__digest="md5:abc"),
        CONFIG,
        ("data.digest", "md5:abc", "sha256"),
    ),
    Bad(
        "a URI of no store",
        at(data__uri="http://host/set.npz"),
        CONFIG,
        ("data.uri", "http://host/set.npz", "file"),
    ),
    Bad(
        "a folder as NPZ",
        at(data__uri="file:///volume/set"),
        CONFIG,
        ("must end with `.npz`", "file:///volume/set"),
    ),
    Bad(
        "a CSV as Parquet",
        at(data__uri="file:///v/a.csv", data__format="Parquet"),
        CONFIG,
        ("must end with `.parquet`", "a.csv"),
    ),
    Bad(
        "JSON as JSONLines",
        at(data__uri="file:///v/a.json", data__format="JSONLines"),
        CONFIG,
        ("must end with `.jsonl`", "a.json"),
    ),
    Bad(
        "a format that is not read",
        at(data__format="CSV"),
        CONFIG,
        ("data.format", "'CSV'", "'JSONLines'"),
    ),
    Bad(
        "columns of a folder",
        at(data__uri="file:///v/a", data__format="ImageFolder", data__columns={"label": "x"}),
        CONFIG,
        ("`columns` must not be set", "remove it"),
    ),
    Bad(
        "a column without a name",
        at(data__columns={"label": ""}),
        CONFIG,
        ("columns.label", "''", "at least 1"),
    ),
    Bad(
        "an unknown column",
        at(data__columns={"lable": "x"}),
        CONFIG,
        ("columns.lable", "did you mean `label`"),
    ),
    Bad(
        "groups that are not named",
        at(data__split={"by": "Group"}),
        CONFIG,
        ("`columns.group` must be set",),
    ),
    Bad(
        "an unknown split",
        at(data__split={"by": "Random"}),
        CONFIG,
        ("split.by", "Random", "'Hash'"),
    ),
    Bad("images for vectors", at(encoder__kind="CNN"), CONFIG, ("encoder.kind CNN", "(4,)", "MLP")),
    Bad(
        "vectors for texts",
        also(lines(), at(encoder__kind="MLP")),
        CONFIG,
        ("MLP reads no text", "CharCNN"),
    ),
    Bad(
        "texts for vectors",
        at(encoder__kind="CharCNN"),
        CONFIG,
        ("CharCNN reads texts", "(4,)", "MLP for vectors"),
    ),
    Bad(
        "a transformer of nothing", at(encoder__kind="Transformer"), CONFIG, ("`base` must be set",)
    ),
)
