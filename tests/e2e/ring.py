#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where the kernel forbids process_vm_*, the ring way carries everything.

The programs run under a seccomp filter that refuses both calls; `olio ls` must
say "ring", and the same programs must work as with the better way.

needs OLIO, OLIO_PEER and OLIO_NOVM in the environment
"""
import json
import os
import subprocess

OLIO, PEER, NOVM = (os.environ[v] for v in ('OLIO', 'OLIO_PEER', 'OLIO_NOVM'))
os.environ['OLIO_MACHINE'] = f'ring-{os.getpid()}'
PAIRS = ['ibv_rc_pingpong -g 1', 'ibv_rc_pingpong -g 1 -e', 'ib_write_bw -a -n 20', 'ib_read_bw -n 100',
         'ib_send_lat -n 500', 'ib_write_bw -b -q 4 -n 50']


def start(role):
    return subprocess.Popen([OLIO, 'run', '--', NOVM, PEER, role], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)


def say(p, line):
    p.stdin.write(line + '\n')
    p.stdin.flush()


def shown_way():
    """The way that `olio ls` shows between two connected processes."""
    procs = [start(r) for r in ('send', 'recv')]
    try:
        addr = [p.stdout.readline().strip() for p in procs]
        say(procs[0], addr[1])
        say(procs[1], addr[0])
        assert [p.stdout.readline().strip() for p in procs] == ['go', 'go']
        out = subprocess.run([OLIO, 'ls', '--json'], capture_output=True, text=True).stdout
        return sorted(q['way'] for q in json.loads(out)['qps'])
    finally:
        for p in procs:
            p.terminate()
            p.wait()


def main():
    print(f'1..{len(PAIRS) + 1}')
    ways = shown_way()
    # The side that connects first does not know its peer yet.
    good = 'ring' in ways and set(ways) <= {'ring', '-'}
    print(f'{"ok" if good else "not ok"} 1 - olio ls says ring\n# {ways}')
    for n, argv in enumerate(PAIRS, 2):
        out = subprocess.run([OLIO, 'pair', '--', NOVM, *argv.split()], capture_output=True,
                             text=True, timeout=60)
        print(f'{"not ok" if out.returncode else "ok"} {n} - {argv}', flush=True)
        if out.returncode:
            print('\n'.join('# ' + line for line in (out.stdout + out.stderr).splitlines()[-12:]))


main()
