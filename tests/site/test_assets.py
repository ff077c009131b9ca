"""Fonts and MathJax are fetched once for a lock file, and a failure says what to do."""

import os
import re
import shutil
import stat
import subprocess

import pytest
from conftest import ROOT

from attncourse.site import assets


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A stand-in for npm that records its calls; returns a function that sets what it does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "npm"

    def exits(status, said=""):
        (tmp_path / "said").write_text(said)
        program.write_text(
            f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\n'
            f'cat "{tmp_path}/said" >&2\nexit {status}\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    exits(0)
    return exits


def calls(tmp_path):
    record = tmp_path / "calls"
    return record.read_text().splitlines() if record.exists() else []


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_npm_runs_once_for_a_lock_file_and_again_for_another(npm, tmp_path, monkeypatch):
    root = tmp_path / "course"
    assets.vendor(root)
    assets.vendor(root)
    assert len(calls(tmp_path)) == 1
    assert calls(tmp_path)[0].startswith("ci ")

    here = tmp_path / "site"
    here.mkdir()
    for name in assets.MANIFESTS:
        shutil.copy(assets.HERE / name, here)
    (here / "package-lock.json").write_text('{"lockfileVersion": 3}')
    monkeypatch.setattr(assets, "HERE", here)
    assert not assets.are_current(root)
    assets.vendor(root)
    assert len(calls(tmp_path)) == 2


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_a_failed_fetch_is_reported_and_tried_again(npm, tmp_path):
    npm(7)
    for _ in range(2):
        with pytest.raises(assets.AssetsError, match=r"exit status 7: npm did not say why"):
            assets.vendor(tmp_path)
    assert len(calls(tmp_path)) == 2
    npm(0)
    assets.vendor(tmp_path)
    assert assets.are_current(tmp_path)


KINDS = ("NODE_EXTRA_CA_CERTS", "NAME:PASSWORD", "cannot be reached", "npm cache", "disk is full")
# As npm says it, and what has to be said of it. Until version 9 npm put ERR! in front.
LOG = "npm error A complete log of this run can be found in: /home/ada/.npm/_logs/debug-0.log\n"
REASONS = {
    "a certificate that is its own": (
        "npm error code DEPTH_ZERO_SELF_SIGNED_CERT\nnpm error errno DEPTH_ZERO_SELF_SIGNED_CERT\n"
        "npm error request to https://npm.example/mathjax failed, reason: self-signed certificate\n",
        ["NODE_EXTRA_CA_CERTS", "npm config set cafile", "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ),
    **{
        code: (
            f"npm ERR! code {code}\nnpm ERR! errno {code}\nnpm ERR! request to "
            "https://npm.example/mathjax failed, reason: unable to get local issuer certificate\n",
            ["NODE_EXTRA_CA_CERTS", "npm config set cafile", code],
        )
        for code in (
            "SELF_SIGNED_CERT_IN_CHAIN",
            "UNABLE_TO_GET_ISSUER_CERT",
            "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            "CERT_HAS_EXPIRED",
            "CERT_UNTRUSTED",
            "ERR_TLS_CERT_ALTNAME_INVALID",
        )
    },
    "a proxy that wants a name": (
        "npm error code E407\nnpm error 407 Proxy Authentication Required - GET "
        "https://npm.example/mathjax\n",
        ["HTTPS_PROXY", "NAME:PASSWORD"],
    ),
    "a proxy that lets nothing through": (
        "npm ERR! code ECONNRESET\nnpm ERR! network tunneling socket could not be established, "
        "cause=connect EHOSTUNREACH 10.0.0.1:8080\n",
        ["HTTPS_PROXY", "NAME:PASSWORD"],
    ),
    **{
        code: (
            f"npm error code {code}\nnpm error errno {code}\nnpm error network request to "
            "https://npm.example/mathjax failed, reason: ...\nnpm error network\n"
            "npm error network If you are behind a proxy, please make sure that the 'proxy' config "
            "is set properly.  See: 'npm help config'\n",
            ["cannot be reached", "needs the network", code],
        )
        for code in (
            *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT"),
            *("ERR_SOCKET_TIMEOUT", "ENETUNREACH", "ENOTCACHED"),
        )
    },
    "another package": (
        "npm error code EINTEGRITY\nnpm error sha512-AAAA integrity checksum failed when using "
        "sha512: wanted sha512-AAAA but got sha512-BBBB. (3 bytes)\n",
        ["not the one that the lock file names", "npm cache clean --force"],
    ),
    "no room": (
        "npm error code ENOSPC\nnpm error syscall write\nnpm error errno -28\n"
        "npm error nospc ENOSPC: no space left on device, write\n",
        ["disk is full"],
    ),
    "anything else": (
        "npm error code FETCH_ERROR\nnpm error errno FETCH_ERROR\nnpm error invalid json response "
        "body at https://npm.example/mathjax reason: Unexpected token '<'\n",
        ["exit status 1: invalid json response body at https://npm.example/mathjax"],
    ),
    "what is no error of npm's": (
        "node:internal/modules/cjs/loader:1\nError: Cannot find module 'npm-cli.js'\n",
        ["exit status 1: Error: Cannot find module 'npm-cli.js'"],
    ),
}


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
@pytest.mark.parametrize(("said", "words"), REASONS.values(), ids=REASONS)
def test_each_reason_of_npm_is_told_with_what_to_do_about_it(npm, said, words, tmp_path, capfd):
    npm(1, said + LOG * said.startswith("npm error"))
    with pytest.raises(assets.AssetsError) as raised:
        assets.vendor(tmp_path)
    assert not [word for word in words if word not in str(raised.value)], raised.value
    told = {kind for kind in KINDS if kind in str(raised.value)}
    assert told <= {kind for kind in KINDS for word in words if kind in word}
    assert said in capfd.readouterr().err  # as npm has it


def test_a_machine_without_npm_uses_the_one_that_pip_installed(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    version = subprocess.run([*assets.npm_command(), "--version"], capture_output=True, text=True)
    assert re.match(r"\d+\.\d+\.\d+", version.stdout)


def test_the_lock_file_names_no_registry_and_pins_what_the_pages_load():
    lock = (assets.HERE / "package-lock.json").read_text()
    assert "resolved" not in lock
    for source in assets.VENDORED:
        package = "/".join(source.split("/")[: 2 if source.startswith("@") else 1])
        assert f'"node_modules/{package}"' in lock


def test_every_stylesheet_that_pages_load_is_vendored(site):
    for stylesheet in assets.STYLESHEETS:
        assert (ROOT / "_build" / "html" / "_static" / stylesheet).is_file()
