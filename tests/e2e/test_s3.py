"""A whole release on a real S3 server: credentials reach pods by `artifacts.secretRef` alone."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import pytest
from obstore.store import S3Store

from tests.e2e.support.kube import Kube, devcluster
from tests.e2e.support.load import glyph_queries_from, start_load
from tests.e2e.support.world import World

ACCESS_KEY, SECRET_KEY, BUCKET = "lockstep", "lockstep-secret-key", "artifacts"


@pytest.fixture(scope="module")
def endpoint(kube: Kube) -> Iterator[str]:
    keys = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
    yield devcluster("s3", "up", "--bucket", BUCKET, *keys).splitlines()[-1]
    devcluster("s3", "down")


def upload(endpoint: str, key: str, data: bytes) -> None:
    store = S3Store(
        BUCKET,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    store.put(key, data)


def test_release_lives_in_s3(endpoint: str, make_world: Callable[[str], World]) -> None:
    world = make_world("s3")
    world.draw()
    data = base64.b64decode(
        world.python(
            "emit",
            "import base64,pathlib;"
            "b=pathlib.Path('/artifacts/datasets/glyphs.npz').read_bytes();"
            "print(base64.b64encode(b).decode())",
        )
    )
    upload(endpoint, "glyphs/datasets/glyphs.npz", data)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s3", "namespace": world.namespace},
        "stringData": {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
    }
    world.artifacts = {
        "uri": f"s3://{BUCKET}/glyphs",
        "endpoint": endpoint,
        "region": "us-east-1",
        "secretRef": {"name": "s3"},
    }
    world.dataset = f"s3://{BUCKET}/glyphs/datasets/glyphs.npz"
    world.kube.apply(secret, world.model(), world.index())
    world.until_healthy(1)
    for kind in ("jobs", "deployments"):
        for workload in world.kube.list(world.namespace, kind, "lockstep.dev/model=glyphs"):
            pod = workload["spec"]["template"]["spec"]
            assert not [v for v in pod["volumes"] if "persistentVolumeClaim" in v]
            assert SECRET_KEY not in str(workload)
    queries = glyph_queries_from(data, 8)
    url = "http://glyphs:8080/v1/search"
    tally = start_load(world, queries, url=url, connections=2, limit=20).finish()
    assert tally["failed"] == tally["mixed"] == 0, tally["failures"]
    assert set(tally["answers"]) == {"glyphs-r1"}
