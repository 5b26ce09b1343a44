"""Runs a command on a terminal of its own, waits for what it asks, and types the answers.

terminal.py STEPS PROGRAM [ARGUMENT ...]: STEPS is JSON, a list of [what to wait for, what to type].
Prints JSON: the exit code, what the terminal showed, and whether it echoes again at the end."""

import fcntl, json, os, pty, select, sys, termios

steps, command = json.loads(sys.argv[1]), sys.argv[2:]
# This end stays open, so that the terminal is still there when the command is gone.
terminal, own = pty.openpty()
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(own, termios.TIOCSCTTY, 0)
    for stream in 0, 1, 2:
        os.dup2(own, stream)
    os.execv(command[0], command)
shown, seen, code = b"", 0, None


def look(seconds):
    global shown
    if select.select([terminal], [], [], seconds)[0]:
        shown += os.read(terminal, 4096)
        return True
    return False


for question, answer in steps:
    while question.encode() not in shown[seen:]:
        if not look(20):
            sys.exit(f"it did not ask {question!r}: {shown!r}")
    seen = len(shown)
    os.write(terminal, answer.encode())
while code is None:
    look(0.05)
    ended, status = os.waitpid(child, os.WNOHANG)
    code = os.waitstatus_to_exitcode(status) if ended else None
while look(0.05):
    pass
echoes = bool(termios.tcgetattr(own)[3] & termios.ECHO)
print(json.dumps({"code": code, "shown": shown.decode(), "echoes": echoes}))
