"""A file comes whole or not at all, from a server that breaks off, is slow, lies or is not there."""

import fcntl
import hashlib
import os

import pytest

from sipbench.fetch.download import download
from sipbench.fetch.web import FetchError, Web, line
from tests.fetch.server import Site, serving

CONTENT = bytes(range(256)) * 40
SHA = hashlib.sha256(CONTENT).hexdigest()
QUICK = Web(timeout=0.3, tries=2, pause=0.001)


NO_ADDRESS = ("file.pt", "//host/file.pt", "http://[host/file.pt", "http://../file.pt")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "file.pt"


@pytest.fixture
def url(site):
    site.pages["/file.pt"] = CONTENT
    return f"{site.url}/file.pt"


def refused(url, path, said, sha256=SHA, web=QUICK):
    """The download fails, says so in one line, and leaves nothing in the file's place."""
    with pytest.raises(FetchError, match=said) as error:
        download(url, path, sha256, web=web)
    assert "\n" not in str(error.value) and not path.exists()
    return str(error.value)


@pytest.mark.parametrize("digits", [0, 8, 64])
def test_a_file_comes_whole(url, path, digits):
    told = []
    download(url, path, SHA[:digits], lambda done, total: told.append((done, total)), web=QUICK)
    assert path.read_bytes() == CONTENT and told[-1] == (len(CONTENT), len(CONTENT))
    assert list(path.parent.iterdir()) == [path]


def test_what_broke_off_is_gone_on_with(site, url, path):
    site.mishaps = [("break", 4000), ("break", 3000)]
    download(url, path, SHA, web=QUICK)
    assert path.read_bytes() == CONTENT
    assert [headers.get("range") for _, headers in site.asked] == [None, "bytes=4000-", "bytes=7000-"]


def test_another_process_goes_on_with_it(site, url, path):
    site.mishaps = [("break", 5000), ("status", 403)]
    refused(url, path, "403")
    download(url, path, SHA, web=QUICK)
    assert path.read_bytes() == CONTENT and site.asked[-1][1]["range"] == "bytes=5000-"


def test_a_file_that_changed_meanwhile_is_begun_anew(site, url, path):
    site.mishaps = [("break", 5000), ("status", 403)]
    refused(url, path, "403")
    site.pages["/file.pt"] = CONTENT[3000::-1]
    download(url, path, web=QUICK)
    assert path.read_bytes() == CONTENT[3000::-1]


@pytest.mark.parametrize("lacks", ["ranges", "tagged"])
def test_a_server_that_cannot_go_on_begins_anew(site, url, path, lacks):
    setattr(site, lacks, False)
    site.mishaps = [("break", 5000)]
    download(url, path, SHA, web=QUICK)
    assert path.read_bytes() == CONTENT
    assert lacks == "ranges" or "range" not in site.asked[1][1]


def test_a_part_that_is_whole_already_is_not_asked_for_again(site, url, path):
    site.mishaps = [("break", 5000), ("status", 403)]
    refused(url, path, "403")
    part = path.with_name("file.pt.part")
    part.write_bytes(CONTENT)
    download(url, path, SHA, web=QUICK)
    assert path.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(site, url, path):
    site.mishaps = [("break", 5000), ("status", 403)]
    refused(url, path, "403")
    path.with_name("file.pt.part").write_bytes(CONTENT + b"more")
    download(url, path, SHA, web=QUICK)
    assert path.read_bytes() == CONTENT


def test_a_part_of_another_address_is_not_gone_on_with(site, url, path):
    site.mishaps = [("break", 5000), ("status", 403)]
    refused(url, path, "403")
    site.pages["/other.pt"], site.tag = b"other" * 2000, path.with_name("file.pt.part.from").read_text().split()[1]
    download(f"{site.url}/other.pt", path, web=QUICK)
    assert path.read_bytes() == b"other" * 2000


def test_a_truncated_answer_is_no_file(site, url, path):
    site.ranges = False
    site.mishaps = [("break", 100)] * 9
    refused(url, path, "100 of 10240 bytes", sha256="")
    assert len(site.asked) == 3  # the first brought something, the next two nothing more


def test_what_is_not_the_file_is_thrown_away(site, url, path):
    line = refused(url, path, "sha256", sha256="0" * 64)
    assert SHA in line and "0" * 64 in line and list(path.parent.iterdir()) == []


def test_a_range_that_was_not_asked_for_is_refused(site, url, path):
    site.mishaps = [("break", 4000), ("shift", 5)]
    refused(url, path, "bytes from 4000 on")


@pytest.mark.parametrize(("code", "asked"), [(404, 1), (403, 1), (500, 2), (503, 2)])
def test_a_refusal_is_final_and_a_breakdown_is_not(site, url, path, code, asked):
    site.mishaps = [("status", code)] * 9
    assert "file.pt: it answered" in refused(url, path, str(code))
    assert len(site.asked) == asked


def test_a_breakdown_that_passes_is_waited_for(site, url, path):
    site.mishaps = [("status", 503)]
    download(url, path, SHA, web=QUICK)
    assert path.read_bytes() == CONTENT


def test_a_silent_server_is_given_up(site, url, path):
    site.mishaps = [("stall", 1.0)] * 2
    refused(url, path, "timed out", web=Web(timeout=0.1, tries=2, pause=0.001))


def test_a_server_that_trickles_is_given_up(site, url, path):
    site.mishaps = [("trickle", 0.01)] * 9
    refused(url, path, "too slow", web=Web(timeout=0.1, tries=1, pause=0.001, slowest=1e6))


def test_no_server_is_a_line(path):
    refused("http://127.0.0.1:9/file.pt", path, "refused")


def test_two_processes_do_not_write_one_file(url, path):
    path.parent.mkdir()
    lock = path.with_name("file.pt.part.lock")
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused(url, path, "another process")
    download(url, path, SHA, web=QUICK)


def test_a_folder_that_cannot_be_made_is_a_line(url, tmp_path):
    (tmp_path / "file").touch()
    refused(url, tmp_path / "file" / "below" / "it.pt", "Not a directory")


def test_the_proxy_of_the_environment_is_asked(site, path, monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", site.url)
    site.pages["http://example.invalid/file.pt"] = CONTENT
    download("http://example.invalid/file.pt", path, SHA, web=QUICK)
    assert path.read_bytes() == CONTENT


def test_a_password_goes_to_its_host_and_is_never_shown(site, path, tmp_path, monkeypatch):
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with serving(Site(pages={"/file.pt": CONTENT})) as other:
        site.moved["/file.pt"] = f"{other.url}/file.pt"
        url = site.url.replace("//", "//me:s3cret@") + "/file.pt"
        download(url, path, SHA, web=QUICK)
        assert site.asked[0][1]["authorization"] == "Basic bWU6czNjcmV0"
        assert "authorization" not in other.asked[0][1]
    assert "s3cret" not in refused(site.url.replace("//", "//me:s3cret@") + "/none", path.with_name("none"), "404")


def test_a_password_of_netrc_is_used(site, url, path, tmp_path, monkeypatch):
    file = tmp_path / ".netrc"
    file.write_text("machine 127.0.0.1 login me password s3cret\n")
    os.chmod(file, 0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    download(url, path, SHA, web=QUICK)
    assert site.asked[0][1]["authorization"] == "Basic bWU6czNjcmV0"


def test_a_page_without_an_end_is_given_up(site, monkeypatch):
    from sipbench.fetch import web

    monkeypatch.setattr(web, "LONGEST", 1000)
    site.pages["/short"], site.pages["/long"] = b"x" * 1000, b"x" * 1001
    assert len(Web().text(f"{site.url}/short")[0]) == 1000
    with pytest.raises(FetchError, match="it is longer than"):
        Web().text(f"{site.url}/long")


def test_a_page_that_trickles_is_given_up(site):
    site.pages["/page"], site.mishaps = b"x" * 200, [("trickle", 0.05)]
    with pytest.raises(FetchError, match="it is too slow"):
        QUICK.text(f"{site.url}/page")


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_what_is_no_address_is_a_line(path, address):
    refused(address, path, "it is no address")
    with pytest.raises(FetchError, match="it is no address"):
        QUICK.text(address)


def test_what_a_server_says_over_several_lines_is_one():
    import io
    from email.message import Message
    from urllib.error import HTTPError

    with HTTPError("http://host", 302, "a circle\nof\nsteps", Message(), io.BytesIO()) as error:
        assert line(error) == "it answered 302 a circle of steps"


@pytest.mark.parametrize("address", ["http://me:secret@[host/", "http://me:secret@../"])
def test_a_password_is_not_shown_where_the_address_is_none(path, address):
    assert "secret" not in refused(address, path, "it is no address")


@pytest.mark.parametrize("token", ["hf_sec\nret", "hf_sec\0ret", "hf_sec\u20acret"])
def test_a_password_that_cannot_be_sent_is_not_shown(site, path, token):
    said = refused(f"{site.url}/file.pt", path, "the password for it", web=Web(token=token))
    assert "sec" not in said and not site.asked


def test_what_a_server_says_is_text(site, path, monkeypatch):
    from http.server import BaseHTTPRequestHandler

    monkeypatch.setitem(BaseHTTPRequestHandler.responses, 404, ("\x1b[31mgone", ""))
    assert "\x1b" not in refused(f"{site.url}/file.pt", path, "404 .*gone")


def test_a_hash_in_capitals_is_the_same_hash(url, path):
    download(url, path, SHA.upper(), web=QUICK)
    assert path.read_bytes() == CONTENT


def test_a_length_that_is_no_number_is_not_known():
    from types import SimpleNamespace

    from sipbench.fetch.download import _start

    assert _start(SimpleNamespace(status=200, headers={"Content-Length": "many"}), 0) == (0, None)
