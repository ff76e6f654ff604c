"""The programs that pods of a release run, a row each: their images, and how those are given.

Flags are read from here; that `Images` and the chart have each of them, and the Makefile and
pyproject.toml each that is built here, is tested. A sidecar is a row with a container name of its
own, and a `Sidecar` in the `ProgramSpec` of the pods that get it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lockstep_operator.api.release import Images

CONTAINER = "main"
"""The container of the program that a pod is there for: its status alone decides on the pod."""
CHECK = "validate"
"""The init container of a program that checks its input before it begins."""


@dataclass(frozen=True)
class ProgramImage:
    """One program. `name` is its field in `Images`, and `programs.<name>` in the chart.

    `use` ends the sentence "image that ..." of its flag. Images are frozen in releases: a release
    of before a program was added has no image of it and must stay readable, so only the three
    first programs are `required`, and every later field of `Images` has a default. Such a program
    is left out where a release has no image of it. `built`: from the folder `<name>-image`, with a
    package of its own; else the image is one that others make.
    """

    name: str
    use: str
    container: str = CONTAINER
    required: bool = False
    built: bool = True

    @property
    def flag(self) -> str:
        """`trainer-image`."""
        return f"{self.name}-image"

    @property
    def variable(self) -> str:
        """The environment variable of the flag: `LOCKSTEP_TRAINER_IMAGE`."""
        return f"LOCKSTEP_{self.name.upper()}_IMAGE"

    def of(self, images: Images) -> str:
        """The image that a release froze. Raises ValueError where it has none."""
        image: str | None = getattr(images, self.name)
        if image is None:
            raise ValueError(f"the release has no image of the {self.name}")
        return image


TRAINER = ProgramImage("trainer", "new releases train with", required=True)
ENCODER = ProgramImage("encoder", "serves and evaluates encoders", required=True)
INDEXER = ProgramImage("indexer", "builds and serves indexes", required=True)

MONITOR = ProgramImage("monitor", "watches the embeddings of encoders", container="monitor")

PROGRAMS = (TRAINER, ENCODER, INDEXER, MONITOR)
