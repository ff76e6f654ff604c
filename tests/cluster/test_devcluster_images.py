"""Names and archives of images: what the runtime looks for is what was stored."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from devcluster.host import images, oci
from devcluster.report import DevclusterError

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("name", ["lockstep.local/web:1", "localhost/web:1", "somewhere:5000/web"])
def test_a_name_with_a_domain_is_stored_as_it_is(name: str) -> None:
    assert images.check_name(name) == name


@pytest.mark.parametrize("name", ["web:1", "lockstep/web:1"])
def test_a_name_without_a_domain_is_refused_with_one_that_would_do(name: str) -> None:
    with pytest.raises(DevclusterError, match=f"lockstep.local/{name}"):
        images.check_name(name)


def test_an_archive_holds_one_program_and_is_the_same_each_time(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    archives = [tmp_path / "a.tar", tmp_path / "b.tar"]
    for archive in archives:
        oci.write_archive(archive, image="localhost/x:1", program=program, entrypoint="x")
    assert archives[0].read_bytes() == archives[1].read_bytes()
    with tarfile.open(archives[0]) as tar:
        members = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        blobs = {name: file.read() for name, file in members.items() if file}
    manifest = json.loads(blobs["index.json"])["manifests"][0]
    assert manifest["annotations"] == {"io.containerd.image.name": "localhost/x:1"}
    for name, content in blobs.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(content).hexdigest() == Path(name).name
