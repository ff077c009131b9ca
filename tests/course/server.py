"""The Jupyter server on which an instructor opens the formgrader."""

import json
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest


class Server:
    """The Jupyter server of the guide, on a free port of this machine, with a token."""

    def __init__(self, command, course, environment, config):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.course = course
        self.token = secrets.token_hex(16)
        self.address = f"http://127.0.0.1:{port}"
        config.mkdir()
        settings = {"ServerApp": {"ip": "127.0.0.1", "allow_root": True, "port_retries": 0}}
        (config / "jupyter_server_config.json").write_text(json.dumps(settings))
        self._log = (config / "log").open("w+")
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=course,
            env=environment
            | {
                "JUPYTER_CONFIG_DIR": str(config),
                "JUPYTER_TOKEN": self.token,
                "JUPYTER_PORT": str(port),
            },
            stdout=self._log,
            stderr=self._log,
        )
        for _ in range(300):
            if self._process.poll() is not None:
                break
            try:
                self.get("/api/status")
                return
            except urllib.error.URLError:
                time.sleep(0.2)
        self.stop()
        pytest.fail(f"the Jupyter server did not start:\n{(config / 'log').read_text()}")

    def _request(self, path, method="GET", body=None):
        request = urllib.request.Request(
            self.address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def get(self, path):
        return self._request(path)

    def put(self, path, body):
        return json.loads(self._request(path, "PUT", body))

    def grades(self, student, notebook):
        """Every grade of a student's notebook, by cell, as formgrader's own page asks for them."""
        submitted = f"/formgrader/api/submitted_notebooks/{notebook.removesuffix('.ipynb')}"
        [handed_in] = [n for n in json.loads(self.get(submitted)) if n["student"] == student]
        found = json.loads(self.get(f"/formgrader/api/grades?submission_id={handed_in['id']}"))
        return handed_in["id"], {grade["name"]: grade for grade in found}

    def stop(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
