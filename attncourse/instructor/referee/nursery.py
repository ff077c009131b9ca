"""The warm process that workers are forked from. Runs inside the sandbox; knows no item.

    python -m attncourse.instructor.referee.nursery DESCRIPTOR LIMITS [--unsandboxed]

The descriptor is a socket, on which it says `ready` when it is warm; the limits are those of its
workers, as JSON. `start N`, with a descriptor of the worker's own, is answered by `started`, or by
the reason why there is no worker; `kill N` by `killed`, or by how the worker had ended before.
`branch`, with a descriptor, is not answered here: a fork of this process says `ready` at the other
end, and serves the holder of that end. `branch CORE` has a second descriptor, by which the core is
claimed, and all workers of the branch keep to that core. When the socket closes, everything that
was asked for on it ends.

Between the nursery and each worker stands a guardian. It sees to it that the worker ends: when the
nursery lets go of the leash, or ends itself, or when the worker's memory grows beyond its limit.
As the worker's parent it can kill no other by mistake, because a process keeps its number until
its parent has waited for it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass, replace

from attncourse.instructor.limits import Limits
from attncourse.instructor.referee import confinement, memory, worker

_MEMORY_CHECK_INTERVAL = 0.25  # seconds
_WORKER_TIMEOUT = 30.0  # seconds that a worker has to start or to end, on a busy machine


@dataclass(frozen=True)
class _Settings:
    """Under which workers run."""

    limits: Limits
    sandboxed: bool
    core: int | None = None
    """To which all of them keep; None leaves them free."""


def main(arguments: list[str]) -> None:
    """Serve until the judge is gone."""
    descriptor, limits, *options = arguments
    with socket.socket(fileno=int(descriptor)) as control:
        worker.warm()
        gc.collect()
        gc.freeze()  # what stands now is shared with every worker: let no collection touch it
        settings = _Settings(Limits(**json.loads(limits)), "--unsandboxed" not in options)
        _serve(control, settings)
    os._exit(0)  # Python would take apart all that was loaded, one thing after the other


def _serve(control: socket.socket, settings: _Settings) -> None:
    control.sendall(b"ready")
    leashes: dict[bytes, tuple[int, socket.socket]] = {}  # and the guardian that is on it
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 64, 2)
        if not request:
            return  # which lets go of every leash
        what, _, number = request.partition(b" ")
        if what == b"branch":
            ours = [control, *(leash for _, leash in leashes.values())]
            own_core = int(number) if number else None
            _branch(ours, descriptors, replace(settings, core=own_core))
            continue
        if what == b"start":
            leash, end = socket.socketpair()
            guardian = os.fork()
            if not guardian:
                for end_of_ours in (control, leash, *(each for _, each in leashes.values())):
                    end_of_ours.close()
                _guard(end, descriptors[0], settings)
            end.close()
            os.close(descriptors[0])
            answer = _received(leash) or b"it did not answer"
            if answer == b"started":
                leashes[number] = guardian, leash
            else:
                _let_go(guardian, leash)
        else:
            answer = (number in leashes and _let_go(*leashes.pop(number))) or b"killed"
        control.sendall(answer)


def _branch(ours: list[socket.socket], descriptors: list[int], settings: _Settings) -> None:
    """Go on twice: here, and in a fork that serves at another socket."""
    between = os.fork()
    if between:
        for descriptor in descriptors:
            os.close(descriptor)
        os.waitpid(between, 0)
        return
    try:
        for each in ours:
            each.close()
        if not os.fork():  # twice, so that nobody here has to wait for its end
            # The claim on the core, if there is one, stays open until this process ends.
            with socket.socket(fileno=descriptors[0]) as end:
                _serve(end, settings)
    finally:
        os._exit(0)


def _received(leash: socket.socket) -> bytes:
    leash.settimeout(_WORKER_TIMEOUT)
    with contextlib.suppress(OSError):
        return leash.recv(500)
    return b""


def _let_go(guardian: int, leash: socket.socket) -> bytes:
    """End a worker; how it had ended before."""
    with leash:
        leash.shutdown(socket.SHUT_WR)
        ended = _received(leash)
    os.waitpid(guardian, 0)
    return ended


def _guard(leash: socket.socket, descriptor: int, settings: _Settings) -> None:
    """Fork a worker and stay until it ends. Does not return."""
    try:
        if settings.sandboxed:
            confinement.separate_processes()
        number = os.fork()
        if not number:
            _become_worker(leash, descriptor, settings)
        os.close(descriptor)
        most = settings.limits.memory_bytes if settings.sandboxed else 0
        leash.send(_watched(number, leash, most))
    except Exception as error:
        leash.send(str(error).encode()[:500])
    finally:
        os._exit(0)  # whatever happens: no copy of the nursery goes on in its stead


def _watched(number: int, leash: socket.socket, most: int) -> bytes:
    """See to it that a worker ends; why it did, empty if it was made to by letting go."""
    reason = b""
    while not reason and not select.select([leash], [], [], _MEMORY_CHECK_INTERVAL)[0]:
        if most and memory.memory_of(number, most) > most:
            reason = b"it used more than %.3g GiB of memory" % (most / 2**30)
    # Sandboxed, it is the first of its PID namespace, and all others go with it.
    os.kill(number, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    if reason or code == -signal.SIGKILL:
        return reason
    ended = (
        f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    )
    return f"its process {ended}".encode()


def _become_worker(leash: socket.socket, descriptor: int, settings: _Settings) -> None:
    """Be confined, say so, and serve a notebook. Does not return."""
    try:
        os.setsid()
        if settings.core is not None:
            confinement.keep_to(settings.core)  # not the guardian, which has to get its turn
        if settings.sandboxed:
            confinement.die_with_parent()
            confinement.confine(settings.limits)
        leash.send(b"started")
    except Exception as error:
        leash.send(str(error).encode()[:500])
        os._exit(1)
    status = 1
    try:
        leash.close()
        worker.main(socket.socket(fileno=descriptor))
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
