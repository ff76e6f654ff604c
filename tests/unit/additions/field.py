"""A toy field of the model's spec: how long a pod may take to end what reached it."""

from tests.unit.additions.edits import Addition, after, before

ADDITION = Addition(
    what="a field",
    changes=(
        before(
            "operator/lockstep_operator/api/model.py",
            "    min_ready_seconds: int = Field(",
            """
    drain_seconds: int = Field(
        default=30,
        ge=1,
        le=600,
        description="Seconds in which a pod that ends may answer what reached it.",
    )
""",
        ),
        after(
            "operator/lockstep_operator/manifests/serving.py",
            "        requests=ENCODER_REQUESTS,",
            "        grace_seconds=model.spec.serving.drain_seconds,",
        ),
    ),
)
