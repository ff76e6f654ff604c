"""The client process of Weights & Biases: JSON lines of `wandb.Wandb` on standard input."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lockstep_trainer.tracking.tracker import Ending

INIT_SECONDS = 60


def main() -> int:
    """0 when all was taken; else the last line of standard error says why not."""
    try:
        follow(json.loads(line) for line in sys.stdin)
    # Whatever the client raises is one line of the trainer's warning.
    except Exception as error:
        print(f"{type(error).__name__}: {error}".split("\n", 1)[0], file=sys.stderr, flush=True)
        # Not by `sys.exit`: at its exit the client would wait for the server that just failed.
        os._exit(1)
    return 0


def follow(lines: Iterable[dict[str, Any]]) -> None:
    """The first line opens the run, those with a step are logged, the last one ends it."""
    run: Any = None
    for line in lines:
        if "run" in line:
            run = _open(line)
        elif "step" in line:
            # A trainer that goes on after a checkpoint repeats some steps: the first counts.
            run.log(line["numbers"], step=line["step"])
        else:
            run.summary.update(line["numbers"])
            for file in line["files"]:
                run.save(file, base_path=str(Path(file).parent), policy="now")
            run.finish(exit_code=0 if line["ending"] == Ending.FINISHED else 1)


def _open(asked: dict[str, Any]) -> Any:
    scratch = tempfile.gettempdir()
    for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        # Below the home folder by default, which a pod's read-only file system has not.
        os.environ.setdefault(name, scratch)
    try:
        import wandb
    except ImportError:
        raise RuntimeError(
            'the image has no W&B client: build it with EXTRAS="trainer wandb"'
        ) from None
    uri = asked["uri"] or ""
    folder = uri.removeprefix("file://") if uri.startswith("file://") else None
    settings = wandb.Settings(
        mode="offline" if folder else "online",
        root_dir=folder or scratch,
        init_timeout=INIT_SECONDS,
        # The trainer has its own log and metrics, and its image is no checkout.
        console="off",
        silent=True,
        x_disable_stats=True,
        disable_git=True,
        disable_code=True,
        **({"base_url": uri} if uri and not folder else {}),
    )
    return wandb.init(
        project=asked["project"],
        entity=asked["entity"],
        id=asked["run"],
        name=asked["name"],
        config=asked["settings"],
        resume="allow",
        settings=settings,
    )


if __name__ == "__main__":
    sys.exit(main())
