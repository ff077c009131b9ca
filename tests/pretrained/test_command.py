"""`attncourse survey`: what it prints and writes, and how it gets a model from the hub."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from pretrained import tiny_models

COMMAND = Path(sys.executable).with_name("attncourse")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two models of different shapes."""
    here = tmp_path_factory.mktemp("models")
    for kind in ("bert", "llama"):
        tiny_models.make(kind).save_pretrained(here / kind)
    tiny_models.make("gpt2").save_pretrained(here / "sharded", max_shard_size="6KB")
    (here / "pickled").mkdir()
    (here / "pickled" / "config.json").write_text("{}")
    (here / "pickled" / "pytorch_model.bin").write_text("never opened")
    return here


def run(*arguments, cwd, **environment):
    return subprocess.run(
        [COMMAND, "survey", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"HF_HOME": str(cwd / "hf")} | environment,
    )


def test_several_models_are_surveyed_one_after_another(folders, tmp_path):
    llama, bert = str(folders / "llama"), str(folders / "bert")
    finished = run(llama, bert, "--csv", "all.csv", "--plot", "all.png", cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    for line in ("layer 0 of 3", "layer 3 of 3", "layer 2 of 2"):  # progress
        assert line in finished.stderr
    assert "3 layers of 6 heads on 2 key heads" in finished.stderr
    for word in (llama, bert, "each head", "heads of a layer summed", "random", "gauge-invariant"):
        assert word in finished.stdout
    frame = pd.read_csv(tmp_path / "all.csv")
    # Heads and sums, trained and random.
    assert frame["model"].value_counts().to_dict() == {
        llama: 2 * (3 * 6 + 3),
        bert: 2 * (2 * 3 + 2),
    }
    with Image.open(tmp_path / "all.png") as picture:
        assert picture.width > 3 * picture.height  # two panels for each model


def test_a_wrong_name_is_told_before_any_survey_begins(folders, tmp_path):
    finished = run(str(folders / "bert"), "./nowhere", "--csv", "all.csv", cwd=tmp_path)
    assert finished.returncode == 1
    assert finished.stderr.startswith("attncourse survey: there is no file or folder './nowhere'")
    assert finished.stdout == ""
    assert not (tmp_path / "all.csv").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--csv", "all.txt"], "'all.txt' must end in .csv"),
        (["--plot", "all.svg"], "'all.svg' must end in .png"),
        (["--csv", "no/such/all.csv"], "is not in a folder that exists"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_at_once(folders, tmp_path, option, message):
    finished = run(str(folders / "bert"), *option, cwd=tmp_path)
    assert finished.returncode == 2
    assert message in finished.stderr


# ---------------------------------------------------------------- the hub


class _Hub(http.server.BaseHTTPRequestHandler):
    """What the hub answers when a file is asked for."""

    folder: Path
    asked: list[str]
    commit = "0123456789abcdef0123456789abcdef01234567"

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, *, with_body):
        _, owner, model, *_, name = self.path.split("/")
        file = self.folder / model / name
        body = b""
        if owner == "tiny" and file.is_file():
            body = file.read_bytes()
            self.asked.append(name)
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        else:
            status, code = {"tiny": (404, "EntryNotFound"), "gated": (403, "GatedRepo")}.get(
                owner, (404, "RepoNotFound")
            )
            self.send_response(status)
            self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", self.commit)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def hub(folders):
    """The address of a hub on this machine, and the names of the files it was asked for."""
    handler = type("Hub", (_Hub,), {"folder": folders, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield (
            {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "NO_PROXY": "*"},
            handler.asked,
        )
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("model", "layers"), [("tiny/bert", 2), ("tiny/sharded", 3)])
def test_a_model_is_downloaded_once_with_progress(hub, tmp_path, model, layers):
    address, asked = hub
    finished = run(model, cwd=tmp_path, TQDM_POSITION="-1", **address)  # bars although no terminal
    assert finished.returncode == 0, finished.stderr
    assert f"layer {layers} of {layers}" in finished.stderr
    assert "config.json: 100%" in finished.stderr
    assert ".safetensors: 100%" in finished.stderr
    rest = {name for name in asked if not name.endswith(".safetensors")}
    assert rest <= {"config.json", "model.safetensors.index.json"}  # the folder holds more
    asked.clear()
    again = run(model, cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert again.stdout == finished.stdout
    assert asked == []


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("tiny/pickled", "has no config.json or no model.safetensors on the hub"),
        ("gated/model", "is given only to those who accepted its terms"),
        ("nobody/nothing", "is neither a folder here nor a public model on the hub"),
    ],
)
def test_what_the_hub_lacks_is_told(hub, tmp_path, model, message):
    address, asked = hub
    finished = run(model, cwd=tmp_path, **address)
    assert finished.returncode == 1
    assert f"attncourse survey: {model!r} {message}" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "pytorch_model.bin" not in asked


def test_without_a_network_the_hub_is_an_error_that_names_what_needs_none(tmp_path):
    finished = run("tiny/bert", cwd=tmp_path, HF_HUB_OFFLINE="1")
    assert finished.returncode == 1
    assert finished.stderr.startswith(
        "attncourse survey: 'tiny/bert' is not a folder here, the hub cannot"
    )
    assert "'minilm' needs no network" in finished.stderr
