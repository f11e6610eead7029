from pathlib import Path

import pytest
from hub_stub import HubStub

from harness_ext.common.errors import SourceError
from harness_ext.common.files import cache_dir, sha256, write_cached
from harness_ext.unsafeconcepts.published import COMMIT, UPSTREAM, PublishedFile, fetch

CONTENT = b"published words\n" * 1000
FILE = PublishedFile("data/some/words.txt", sha256(CONTENT), "the words", "UNSAFECONCEPTS_WORDS")
PATH = f"{UPSTREAM}/{COMMIT}/data/some/words.txt"


@pytest.fixture
def serve(monkeypatch):
    """A function that starts a server of the given content and makes it the mirror."""
    running = []

    def start(content: bytes | None, **mode) -> HubStub:
        stub = HubStub(files={}, static={} if content is None else {PATH: content}, **mode)
        monkeypatch.setenv("UNSAFECONCEPTS_MIRROR", stub.url)
        running.append(stub.__enter__())
        return stub

    yield start
    for stub in running:
        stub.__exit__()


def test_a_file_is_fetched_once_and_then_read_from_the_cache(serve):
    stub = serve(CONTENT)
    assert fetch(FILE) == CONTENT
    assert fetch(FILE) == CONTENT
    assert stub.requests == [f"GET /{PATH}"]


def test_a_damaged_cache_is_fetched_again(serve):
    stub = serve(CONTENT)
    fetch(FILE)
    (cached,) = cache_dir().iterdir()
    cached.write_bytes(CONTENT[:-1])
    assert fetch(FILE) == CONTENT
    assert cached.read_bytes() == CONTENT
    assert len(stub.requests) == 2


def test_another_file_in_its_place_is_refused_and_not_kept(serve):
    serve(b"<html>Please log in to the network</html>")
    with pytest.raises(
        SourceError, match=rf"expected sha256 {FILE.sha256}, found \w{{64}} \(41 bytes\)\nWithout a net"
    ):
        fetch(FILE)
    assert not list(cache_dir().iterdir())


@pytest.mark.parametrize(
    ("mode", "reason"),
    [({"status": 503}, "503"), ({"hangs": True}, "Timeout"), ({}, "401")],
    ids=["server error", "no answer", "absent"],
)
def test_what_cannot_be_fetched_says_why_and_what_to_do(serve, mode, reason):
    serve(None, **mode)
    with pytest.raises(SourceError) as caught:
        fetch(FILE)
    problem, remedy = str(caught.value).splitlines()
    assert "cannot be fetched" in problem and reason in problem and FILE.url in problem
    assert remedy == FILE.remedy and "set UNSAFECONCEPTS_WORDS to the file" in remedy


def test_no_network(monkeypatch):
    monkeypatch.setenv("UNSAFECONCEPTS_MIRROR", "http://127.0.0.1:1")
    with pytest.raises(SourceError, match="ConnectError"):
        fetch(FILE)


def test_an_endless_file_is_given_up(serve):
    serve(b"x" * 5_000_000)
    with pytest.raises(SourceError, match="more than 4194304 bytes"):
        fetch(FILE)


def test_the_address_is_pinned_to_the_commit(monkeypatch):
    monkeypatch.delenv("UNSAFECONCEPTS_MIRROR", raising=False)
    assert FILE.url == (
        "https://raw.githubusercontent.com/TrustAIRLab/SaferVLM/22632cf1b1d0a91dba8541df95a8d400fc59db52/"
        "data/some/words.txt"
    )


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(blocked / "cache"))
    with pytest.raises(SourceError, match=r"file/cache cannot be written.*\nSet UNSAFECONCEPTS_CACHE to"):
        cache_dir()
    with pytest.raises(SourceError, match="cannot be written"):
        write_cached(blocked / "deeper" / "words.txt", CONTENT)


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    target = tmp_path / "folder"
    (target / "full").mkdir(parents=True)  # a file cannot replace a folder that is not empty
    with pytest.raises(SourceError, match="cannot be written"):
        write_cached(target, CONTENT)
    assert (target / "full").is_dir()
    assert [path.name for path in Path(tmp_path).iterdir() if path.is_file()] == []
