#!/usr/bin/env python3
"""Time from start to the first full screen of a file on a terminal: `fleetmux highlight` beside bat, in turns.

usage: benches/first_screen.py FILE...      (after cargo build --release; bat is Debian's batcat)
"""
import fcntl, os, pty, select, statistics, struct, sys, termios, time

ROWS, ROUNDS = 40, 25


def first_screen(argv):
    began = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LESS="")
        os.execvp(argv[0], argv)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    lines = 0
    while lines < ROWS and select.select([terminal], [], [], 10)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        lines += data.count(b"\n")
    taken = time.perf_counter() - began
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(terminal)
    return taken


binary = os.path.join(os.path.dirname(__file__), "../target/release/fleetmux")
for path in sys.argv[1:] or sys.exit(__doc__):
    rivals = {
        "bat": ["batcat", "--paging=always", "--style=plain", "--theme=Monokai Extended", path],
        "fleetmux": [binary, "highlight", path],
    }
    taken = {name: [] for name in rivals}
    for _ in range(ROUNDS):
        for name, argv in rivals.items():
            taken[name].append(first_screen(argv))
    p50 = {name: statistics.median(all) for name, all in taken.items()}
    print(f"{path}: bat {p50['bat'] * 1000:.1f} ms, fleetmux {p50['fleetmux'] * 1000:.1f} ms, ratio {p50['fleetmux'] / p50['bat']:.2f}")
