"""Runs one server and ends it when its owner is gone. A program of its own; standard library only.

    python watch.py PID_FILE END_SIGNAL STOP_SIGNAL KILL_SIGNAL USER COMMAND…

The owner holds the other end of our standard input: a pipe, or a FIFO that the whole test session shares. At its
end of file, which comes also when the owner crashed, the server gets END_SIGNAL. SIGTERM becomes STOP_SIGNAL
(the orderly end), SIGUSR1 becomes KILL_SIGNAL (a crash on purpose). USER is the account to run as, or "-".
PID_FILE holds the server's process number while it runs.
"""

import os
import pwd
import signal
import subprocess
import sys
import threading
from pathlib import Path

PATIENCE = 20.0
"""Seconds that a server has for its orderly end, before it is killed."""


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit code."""
    pid_file, end_signal, stop_signal, kill_signal, user, *command = arguments
    account = pwd.getpwnam(user) if user != "-" else None
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        user=account and account.pw_uid,
        group=account and account.pw_gid,
        extra_groups=[] if account else None,
    )
    Path(pid_file).write_text(str(server.pid))

    def pass_on(number: int) -> None:
        if server.returncode is None:
            os.kill(server.pid, number)

    signal.signal(signal.SIGTERM, lambda *_: pass_on(int(stop_signal)))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the tests first, and by that us
    signal.signal(signal.SIGUSR1, lambda *_: pass_on(int(kill_signal)))
    ended = threading.Event()

    def watch_owner() -> None:
        while os.read(0, 4096):
            pass
        pass_on(int(end_signal))
        if not ended.wait(PATIENCE):
            os.killpg(server.pid, signal.SIGKILL)

    threading.Thread(target=watch_owner, daemon=True).start()
    try:
        return server.wait()
    finally:
        ended.set()
        Path(pid_file).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
