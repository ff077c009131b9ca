"""Where jupyter_client asks for a kernel: one that is forked where that is the same, else cold."""

from __future__ import annotations

import os
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from attncourse.kernels.forking import Unsuitable, WarmProcessLost, fork_kernel

# Anything else that is asked of `Popen` is for `Popen` to do.
_UNDERSTOOD = {"env", "cwd", "kernel_id", "extra_arguments"}


class WarmProvisioner(LocalProvisioner):
    """A `LocalProvisioner` whose kernels start in milliseconds, with the libraries loaded."""

    process: Any = None  # a `Popen`, or what answers as one

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork the kernel, or start it as a `LocalProvisioner` does where a fork would differ."""
        cwd = os.path.abspath(kwargs.get("cwd") or os.getcwd())
        try:
            if strange := kwargs.keys() - _UNDERSTOOD:
                raise Unsuitable(f"it was asked for with {', '.join(sorted(strange))}")
            env = {**kwargs["env"], "JPY_PARENT_PID": str(os.getpid())}
            kernel = await fork_kernel([os.path.expanduser(word) for word in cmd], env, cwd)
        except Unsuitable as why:
            self.log.debug("A kernel is started cold: %s.", why)
        except WarmProcessLost as why:
            self.log.warning("A kernel is started cold: %s.", why)
        else:
            self.process = kernel
            self.pid = self.pgid = kernel.pid  # the first of its session
            self.cwd = cwd
            return self.connection_info
        return await super().launch_kernel(cmd, **kwargs)
