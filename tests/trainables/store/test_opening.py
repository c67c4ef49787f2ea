"""Opening a store: which store a location names, and what is said of one that names none."""

import sys
from pathlib import Path

import pytest
from fsspec.registry import _registry

from trainables.frozen import ConfigError
from trainables.store import objects
from trainables.store.local import LocalStore
from trainables.store.opening import open_store


def test_a_folder_is_a_local_store(tmp_path: Path) -> None:
    for location in (str(tmp_path), f"file://{tmp_path}"):
        store = open_store(location)
        assert isinstance(store, LocalStore)
        assert store.folder == tmp_path


def test_protocols_are_read_in_any_case() -> None:
    assert open_store("S3://bucket/prefix/").location == "s3://bucket/prefix"
    assert open_store("s3a://bucket/prefix").location == "s3://bucket/prefix"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("s3:/bucket/prefix", "'s3:/bucket/prefix' given; allowed: a folder, s3://BUCKET/PREFIX"),
        ("S3:bucket", "'S3:bucket' given; allowed: a folder, s3://"),
        ("s3://", "'s3://' given; a bucket is needed"),
        ("s4://bucket", "s4:// is unknown; allowed: a folder, s3://BUCKET/PREFIX"),
        ("ftp://x/y", "ftp:// has no writes on a condition, which leases need; allowed: a folder, s3://"),
        ("http://127.0.0.1:1/x", "http:// has no writes .*AWS_ENDPOINT_URL"),
    ],
)
def test_a_location_that_names_no_store_is_refused(location: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"store: {said}"):
        open_store(location)


@pytest.mark.parametrize(("location", "library", "extra"), [("s3://b/p", "s3fs", "s3"), ("gs://b/p", "gcsfs", "gcs")])
def test_a_library_that_is_not_installed_is_named_by_what_installs_it(
    location: str, library: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    objects._file_system.cache_clear()
    monkeypatch.delitem(_registry, location.partition(":")[0], raising=False)
    with pytest.raises(ConfigError, match=rf"a library is not installed.*pip install 'retune\[{extra}\]'"):
        open_store(location)
