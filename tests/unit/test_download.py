"""Downloads that break off, change or come out wrong, against a server that is told to fail; and bad archives."""

import gzip
import hashlib
import io
import json
import re
import socket
import stat
import tarfile
import zipfile
from random import Random

import pytest

import seq2seq
from seq2seq.corpora.downloads import download as module
from seq2seq.corpora.downloads.catalogue import RemoteFile
from seq2seq.corpora.downloads.download import download, unpack, verify
from seq2seq.errors import CorpusError
from tests.file_server import serve

BODY = Random(3).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(module, "RETRY_PAUSE", 0.0)


@pytest.fixture
def site():
    with serve() as site:
        site.files["/corpus.bin"] = BODY
        yield site


def remote(site, **known):
    known = known or {"sha256": SHA256, "size": len(BODY)}
    return RemoteFile(url=f"{site.address}/corpus.bin", **known)


def test_a_whole_file_is_checked_and_nothing_else_is_left(site, tmp_path):
    seen = []
    receipt = download(remote(site), tmp_path / "corpus.bin", lambda done, total: seen.append((done, total)))
    assert receipt == (len(BODY), SHA256, True)
    assert (tmp_path / "corpus.bin").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.bin"]
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert site.agents == [f"recurrent-seq2seq/{seq2seq.__version__}"]


def test_a_dropped_connection_is_taken_up_where_it_was(site, tmp_path):
    site.drops = [100_000, 50_000]
    assert download(remote(site), tmp_path / "corpus.bin").sha256 == SHA256
    assert site.ranges_asked == [None, "bytes=100000-", "bytes=150000-"]
    assert site.sent == [100_000, 50_000, 150_000]


def test_a_later_call_asks_for_the_rest_alone(site, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.drops = [100_000]
    path = tmp_path / "corpus.bin"
    with pytest.raises(CorpusError, match="resumes after the 100,000 bytes received so far") as error:
        download(remote(site), path)
    assert f"{site.address}/corpus.bin: cannot be downloaded: " in str(error.value)
    assert f"put it at {path}," in str(error.value)
    assert not path.exists()
    seen = []
    download(remote(site), path, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY
    assert site.sent == [100_000, 200_000]
    assert seen[0] == (100_000, len(BODY)), "the bar starts at what was there"


@pytest.mark.parametrize(("ranges", "tags"), [(False, True), (True, False)])
def test_a_server_that_cannot_go_on_sends_all_of_it(site, tmp_path, ranges, tags, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.ranges, site.tags, site.drops = ranges, tags, [100_000]
    with pytest.raises(CorpusError) as error:
        download(remote(site), tmp_path / "corpus.bin")
    assert ("resumes after" in str(error.value)) is tags
    download(remote(site), tmp_path / "corpus.bin")
    assert (tmp_path / "corpus.bin").read_bytes() == BODY
    assert site.sent == [100_000, len(BODY)]


def test_a_server_that_never_gets_further_is_given_up(site, tmp_path):
    site.ranges, site.drops = False, [1000] * 9
    with pytest.raises(CorpusError, match="cannot be downloaded"):
        download(remote(site), tmp_path / "corpus.bin")
    assert len(site.sent) == 2


@pytest.mark.parametrize("change", [BODY[::-1], BODY[:50_000][::-1]], ids=["changed", "shorter"])
def test_a_file_that_changed_meanwhile_is_begun_anew(site, tmp_path, change, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.drops = [100_000]
    with pytest.raises(CorpusError):
        download(remote(site), tmp_path / "corpus.bin")
    site.files["/corpus.bin"] = change
    receipt = download(remote(site, unchecked_reason="it changes"), tmp_path / "corpus.bin")
    assert receipt == (len(change), hashlib.sha256(change).hexdigest(), False)
    assert (tmp_path / "corpus.bin").read_bytes() == change


@pytest.mark.parametrize("kept", [len(BODY), len(BODY) + 7], ids=["complete", "too long"])
def test_a_range_that_cannot_be_satisfied(site, tmp_path, kept):
    """A part that has all bytes already, or more: the server answers 416."""
    part = tmp_path / "corpus.bin.part"
    part.write_bytes((BODY + b"more of it")[:kept])
    tag = f'"{hashlib.md5(BODY).hexdigest()}"'
    note = {"url": f"{site.address}/corpus.bin", "validator": tag}
    (tmp_path / "corpus.bin.part.json").write_text(json.dumps(note), encoding="utf-8")
    assert download(remote(site), tmp_path / "corpus.bin").sha256 == SHA256
    assert site.ranges_asked == [f"bytes={kept}-", None]


def test_a_part_of_another_url_is_not_gone_on_with(site, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    site.files["/mirror/corpus.bin"] = BODY
    site.drops = [100_000]
    with pytest.raises(CorpusError):
        download(remote(site), tmp_path / "corpus.bin")
    download(RemoteFile(url=f"{site.address}/mirror/corpus.bin", sha256=SHA256), tmp_path / "corpus.bin")
    assert site.sent == [100_000, len(BODY)]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"sha256": "0" * 64}, f"expected SHA-256 {'0' * 64}, found {SHA256}"),
        ({"sha256": SHA256, "size": 5}, f"expected a size of 5 bytes, found {len(BODY)} bytes"),
        ({"md5": "1" * 32}, f"expected MD5 {'1' * 32}, found {hashlib.md5(BODY).hexdigest()}"),
    ],
)
def test_a_wrong_file_is_put_aside(site, tmp_path, known, said):
    path = tmp_path / "corpus.bin"
    for _ in range(2):  # the next try starts from nothing
        with pytest.raises(CorpusError) as error:
            download(remote(site, **known), path)
        assert f"{path}: {said}. It is kept as {path}.rejected" in str(error.value)
        assert "--catalogue" in str(error.value)
        assert [file.name for file in tmp_path.iterdir()] == ["corpus.bin.rejected"]
    assert site.ranges_asked == [None, None]


def test_the_text_of_a_gz_file_counts_not_how_it_was_packed(tmp_path):
    text = b"ein Haus\n" * 400
    file = RemoteFile(url="https://example.org/a.gz", uncompressed_sha256=hashlib.sha256(text).hexdigest())
    for level in (1, 9):
        (tmp_path / "a.gz").write_bytes(gzip.compress(text, level))
        assert verify(file, tmp_path / "a.gz").checked
    (tmp_path / "a.gz").write_bytes(gzip.compress(text + b"!"))
    with pytest.raises(CorpusError, match="expected text of SHA-256"):
        verify(file, tmp_path / "a.gz")
    (tmp_path / "b.gz").write_bytes(gzip.compress(text)[:-20])
    with pytest.raises(CorpusError, match=r"b\.gz: expected a complete \.gz file, found a damaged file"):
        verify(RemoteFile(url="https://example.org/b.gz", unchecked_reason="new"), tmp_path / "b.gz")


def test_no_network_says_what_to_do(tmp_path):
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}/corpus.bin"
        path = tmp_path / "corpus.bin"
        with pytest.raises(CorpusError) as error:
            download(RemoteFile(url=address, sha256=SHA256), path)
    assert re.search(r"cannot be downloaded: .*refused", str(error.value))
    for part in (address, "Check the network", "same command again", f"put it at {path}"):
        assert part in str(error.value)
    assert "HTTPConnection" not in str(error.value)


def test_a_file_that_is_gone(site, tmp_path):
    with pytest.raises(CorpusError, match=r"nowhere\.bin: cannot be downloaded: the server answered 404 Not Found"):
        download(RemoteFile(url=f"{site.address}/nowhere.bin", sha256=SHA256), tmp_path / "corpus.bin")
    assert len(site.ranges_asked) == 1
    assert not list(tmp_path.iterdir())


def test_archives_are_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("inner/deu.txt", "Go.\tGeh.\n")
    for name, mode in (("b.tar", "w"), ("c.tar.gz", "w:gz"), ("d.tar.xz", "w:xz"), ("e.tgz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as tar:
            add(tar, "inner/deu.txt", b"Go.\tGeh.\n")
    for name in ("a.zip", "b.tar", "c.tar.gz", "d.tar.xz", "e.tgz"):
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "old").write_text("of an earlier release", encoding="utf-8")
        unpack(tmp_path / name, tmp_path / "out")
        assert (tmp_path / "out" / "inner" / "deu.txt").read_bytes() == b"Go.\tGeh.\n"
        assert not (tmp_path / "out" / "old").exists()


def add(tar, name, content=b"x", kind=tarfile.REGTYPE, linkname=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, linkname, len(content)
    tar.addfile(member, io.BytesIO(content))


OUTSIDE = ["../evil.txt", "/tmp/evil.txt", "inner/../../evil.txt", "..\\evil.txt", "C:\\evil.txt", "\\evil.txt"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_paths_that_lead_outside_are_refused(tmp_path, name, ending):
    archive = tmp_path / "in" / f"corpus.{ending}"
    archive.parent.mkdir()
    if ending == "zip":
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("good.txt", "good")
            file.writestr(zipfile.ZipInfo(name), "evil")
    else:
        with tarfile.open(archive, "w:gz") as tar:
            add(tar, "good.txt")
            add(tar, name)
    with pytest.raises(CorpusError, match="leads out of the folder") as error:
        unpack(archive, tmp_path / "in" / "out")
    assert repr(name) in str(error.value)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{archive.name}.rejected"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    with tarfile.open(tmp_path / "corpus.tar", "w") as tar:
        add(tar, "deu.txt", b"", kind, linkname="good.txt" if kind == tarfile.LNKTYPE else "../secret")
    with pytest.raises(CorpusError, match=r"'deu\.txt' is a link or a device"):
        unpack(tmp_path / "corpus.tar", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("deu.txt")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "corpus.zip", "w") as file:
        file.writestr(link, "/etc/passwd")
    with pytest.raises(CorpusError, match=r"'deu\.txt' is a link or a device"):
        unpack(tmp_path / "corpus.zip", tmp_path / "out")


@pytest.mark.parametrize("name", ["corpus.zip", "corpus.tar.gz", "corpus.tar"])
def test_what_is_no_archive_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>Sign in to this network</html>")
    with pytest.raises(CorpusError, match="cannot be unpacked"):
        unpack(tmp_path / name, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.rejected"]
