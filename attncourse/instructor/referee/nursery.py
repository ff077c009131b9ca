"""The warm process that workers are forked from. Runs inside the sandbox; knows no item.

    python -m attncourse.instructor.referee.nursery DESCRIPTOR LIMITS [--unsandboxed]

The descriptor is a socket, on which it says `ready` when it is warm; the limits are those of its
workers, as JSON. `start N`, with a descriptor of the worker's own, is answered by `started`, or by
the reason why there is no worker; `kill N` by `killed`, or by how the worker had ended before;
`time N CLOCK` by the seconds of its own that a worker has used since then, or by `gone`.
`branch`, with a descriptor, is not answered here: a fork of this process says `ready` at the other
end, and serves the holder of that end. `branch CORE` has a second descriptor, by which the core is
claimed, and all workers of the branch keep to that core. When the socket closes, everything that
was asked for on it ends.

Between the nursery and each worker stands a guardian. It sees to it that the worker ends: when the
nursery lets go of the leash, or ends itself, or when the worker's memory grows beyond its limit.
As the worker's parent it can kill no other by mistake, because a process keeps its number until
its parent has waited for it. For the same reason it knows whether the worker was killed by
somebody else. In the sandbox that is the machine, which does so when memory runs out: the worker is
the first process of its namespace, and no process within can kill that one. So it is where the
guardian itself was killed.
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
import time
from dataclasses import dataclass, replace

from attncourse.instructor.limits import Limits
from attncourse.instructor.referee import confinement, worker
from attncourse.instructor.referee.family import KILLED_FROM_OUTSIDE, family, is_ending
from attncourse.instructor.referee.memory import memory_of
from attncourse.instructor.referee.own_time import OwnTime

_LOOK_INTERVAL = 0.25  # seconds between two looks at a worker's memory and time
_WORKER_TIMEOUT = 30.0  # seconds that a worker has to start or to end, on a busy machine
_ENDING_TIMEOUT = 10.0  # seconds that a worker has to end that has begun to, before it is killed


@dataclass(frozen=True)
class _Settings:
    """Under which workers run."""

    limits: Limits
    sandboxed: bool
    core: int | None = None
    """To which all of them keep; None leaves them free."""


@dataclass
class _Leash:
    """Of a guardian, as the nursery holds it."""

    guardian: int
    end: socket.socket
    said: bytes = b""
    """How the worker has ended, if the guardian has said so already."""

    def time_since(self, clock: bytes) -> bytes:
        """The seconds of its own that the worker has used since then."""
        with contextlib.suppress(OSError):
            self.end.send(clock)
            answer = _received(self.end)
            if answer.startswith(_TIME):
                return answer.removeprefix(_TIME)
            self.said = self.said or answer
        return b"gone"

    def let_go(self) -> bytes:
        """End the worker; how it had ended before."""
        with self.end:
            with contextlib.suppress(OSError):
                self.end.shutdown(socket.SHUT_WR)
            ended = self.said or _received(self.end)
            while ended.startswith(_TIME):  # an answer that came too late
                ended = _received(self.end)
        status = os.waitpid(self.guardian, 0)[1]
        return KILLED_FROM_OUTSIDE.encode() if status else ended


_TIME = b"time "


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
    leashes: dict[bytes, _Leash] = {}
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 64, 2)
        if not request:
            return  # which lets go of every leash
        what, _, number = request.partition(b" ")
        if what == b"branch":
            ours = [control, *(leash.end for leash in leashes.values())]
            own_core = int(number) if number else None
            _branch(ours, descriptors, replace(settings, core=own_core))
            continue
        if what == b"start":
            # Each message by itself: a guardian may have two to say.
            ours_of_it, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            guardian = os.fork()
            if not guardian:
                for each in (control, ours_of_it, *(leash.end for leash in leashes.values())):
                    each.close()
                _guard(end, descriptors[0], settings)
            end.close()
            os.close(descriptors[0])
            leash = _Leash(guardian, ours_of_it)
            answer = _received(leash.end) or b"it did not answer"
            if answer == b"started":
                leashes[number] = leash
            else:
                leash.let_go()
        elif what == b"time":
            number, _, clock = number.partition(b" ")
            answer = leashes[number].time_since(clock) if number in leashes else b"gone"
        else:
            answer = (number in leashes and leashes.pop(number).let_go()) or b"killed"
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


def _guard(leash: socket.socket, descriptor: int, settings: _Settings) -> None:
    """Fork a worker and stay until it ends. Does not return."""
    try:
        if settings.sandboxed:
            confinement.separate_processes()
        # By its end a worker can tell that this process has ended: nothing is ever written to it.
        pipe, end_of_ours = os.pipe()
        number = os.fork()
        if not number:
            os.close(end_of_ours)
            _become_worker(leash, descriptor, pipe, settings)
        os.close(descriptor)
        most = settings.limits.memory_bytes if settings.sandboxed else 0
        leash.send(_watched(number, leash, most))
    except Exception as error:
        leash.send(str(error).encode()[:500])
    finally:
        os._exit(0)  # whatever happens: no copy of the nursery goes on in its stead


def _watched(number: int, leash: socket.socket, most: int) -> bytes:
    """See to it that a worker ends; why it did, empty if it was made to by letting go."""
    own_time = OwnTime()
    reason = b""
    while not reason:
        asked = b""
        if select.select([leash], [], [], _LOOK_INTERVAL)[0]:
            with contextlib.suppress(OSError):
                asked = leash.recv(100)
            if not asked:
                break
        members = family(number)
        own_time.look(members)
        if asked:
            with contextlib.suppress(OSError):  # the nursery is gone
                leash.send(_TIME + b"%.3f" % own_time.since(float(asked)))
        if most and memory_of(members, most) > most:
            reason = b"it used more than %.3g GiB of memory" % (most / 2**30)
    by_itself = not reason and _has_ended(number)
    # Sandboxed, it is the first of its PID namespace, and all others go with it.
    os.kill(number, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(number, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    if code == -signal.SIGKILL:
        return KILLED_FROM_OUTSIDE.encode() if by_itself else reason
    if reason:
        return reason
    ended = (
        f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    )
    return f"its process {ended}".encode()


def _has_ended(number: int) -> bool:
    """Whether a worker has ended by itself; where it has begun to, that is waited for."""
    end = time.monotonic() + _ENDING_TIMEOUT
    # The judge learns of an end before the system is through with it.
    while is_ending(number) and time.monotonic() < end:
        if os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(0.005)
    return False


def _become_worker(leash: socket.socket, descriptor: int, pipe: int, settings: _Settings) -> None:
    """Be confined, say so, and serve a notebook. Does not return."""
    try:
        os.setsid()
        if settings.core is not None:
            confinement.keep_to(settings.core)  # not the guardian, which has to get its turn
        if settings.sandboxed:
            confinement.confine(settings.limits)
            confinement.die_with_parent(pipe)
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
