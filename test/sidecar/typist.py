"""Runs a command on a terminal of its own and types what it is told to.

  typist.py COMMAND...      stdin: JSON, a list of [what to wait for (regular expression), what to type then]

With a third word, "job", it also waits until the terminal is another job's than when it last typed: a shell says
which job it takes up before it hands the terminal over, and Ctrl-C in between is its own.

The output goes to stdout; the exit code is the command's own, 99 when something was waited for in vain.
"""
import json
import os
import pty
import re
import select
import sys
import time

steps = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""
at = 0
owner = None
end = time.time() + 20
while True:
    ready, _, _ = select.select([terminal], [], [], 0.1)
    if ready:
        try:
            part = os.read(terminal, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
        os.write(1, part)
    while steps:
        match = re.search(steps[0][0].encode(), seen[at:])
        if not match or (steps[0][2:] == ["job"] and os.tcgetpgrp(terminal) == owner):
            break
        at += match.end()
        owner = os.tcgetpgrp(terminal)
        os.write(terminal, steps.pop(0)[1].encode())
    if time.time() > end:
        print("\nwaited in vain for", steps[:1])
        os.kill(pid, 9)
        os._exit(99)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
