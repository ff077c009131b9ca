"""A kernel that a test talks to, started by either provisioner, and what is left of it."""

import contextlib
import json
import os
import time

import psutil
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import KernelProvisionerFactory

WARM, COLD = "attncourse-warm", "local-provisioner"
SECONDS = 120  # no test waits longer, however busy the machine is


class Kernel:
    """A running kernel, its manager and a client."""

    def __init__(self, manager):
        self.manager = manager
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=SECONDS)

    @property
    def process(self):
        return psutil.Process(self.manager.provisioner.pid)

    def says(self, code):
        """What a cell prints and shows; an error is one here."""
        heard = []

        def hear(message):
            content = message["content"]
            heard.append(content.get("text") or str(content.get("data", "")))

        reply = self.client.execute_interactive(code, timeout=SECONDS, output_hook=hear)
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"]["traceback"])
        return "".join(heard).strip()

    def computes(self, expression):
        return json.loads(self.says(f"import json; print(json.dumps({expression}))"))

    def is_forked(self):
        return is_warm(self.process.parent())

    def goes_on_with(self, code):
        """Leave it running."""
        return self.client.execute(code)


def is_warm(process):
    return any(word.endswith("warm.py") for word in process.cmdline())


@contextlib.contextmanager
def kernel(provisioner=WARM, *, forked=None, manager=None, **launch):
    """A kernel that is forked, or not, as it should be; gone without a trace in the end."""
    manager = manager or KernelManager()
    # pytest tells the environment which test runs: to us each would be another environment.
    launch["env"] = dict(launch.get("env", os.environ))
    launch["env"].pop("PYTEST_CURRENT_TEST", None)
    KernelProvisionerFactory.instance().default_provisioner_name = provisioner
    manager.start_kernel(**launch)
    started = None
    try:
        started = Kernel(manager)
        assert started.is_forked() == (provisioner == WARM if forked is None else forked)
        yield started
    finally:
        number = manager.provisioner.pid
        if started:
            started.client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
        manager.context.destroy(linger=0)
        wait_until(lambda: not psutil.pid_exists(number))


def wait_until(true, seconds=SECONDS):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.02)
