#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 either side of a transfer at random moments.

Each round connects two processes on one machine that lives through all rounds,
lets them transfer, and kills one after a random time. The other must end by
itself, by an error completion, within its retry time (67 ms) and what a loaded
host adds; never hang and never crash. After every round nothing of the dead may
be left on the machine, and the next round is the new pair that must run on it.

usage: kill.py [ROUNDS] [SEED]      needs OLIO and OLIO_PEER in the environment
"""
import json
import os
import random
import signal
import subprocess
import sys
import time

OLIO, PEER = os.environ['OLIO'], os.environ['OLIO_PEER']
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 200
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1 << 32)
# The retry time is 67 ms. A host whose two processors are busy with other tests
# may not run the survivor for a while: what must not happen is to wait for ever.
LIMIT = 5.0
ROLES = [('send', 'recv'), ('write', 'recv'), ('read', 'recv'), ('send', 'recv -e')]
os.environ['OLIO_MACHINE'] = f'kill-{os.getpid()}'


class Failed(Exception):
    pass


def start(role):
    return subprocess.Popen([OLIO, 'run', '--', 'sh', '-c', 'echo $$; exec "$0" "$@"', PEER,
                             *role.split()], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, bufsize=1)


def say(p, line):
    p.stdin.write(line + '\n')
    p.stdin.flush()


def listing():
    out = subprocess.run([OLIO, 'ls', '--json'], capture_output=True, text=True)
    if out.returncode:
        raise Failed(f'olio ls: {out.stderr.strip()}')
    return json.loads(out.stdout)


def finish(p):
    try:
        out, err = p.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        if os.environ.get('KILL_DEBUG'):
            os.system('for p in $(pgrep e2e_peer); do gdb -p $p -batch -ex "thread apply all bt" 2>/dev/null | grep -E "^#|Thread"; done; %s ls' % OLIO)
        raise Failed('the survivor hangs')
    return out, err


def one_round(rng):
    roles = list(rng.choice(ROLES))
    procs = [start(r) for r in roles]
    pids = [int(p.stdout.readline()) for p in procs]
    try:
        addr = [p.stdout.readline().strip() for p in procs]
        if not all(addr):
            raise Failed('no start: ' + ''.join(p.stderr.read() for p in procs))
        say(procs[0], addr[1])
        say(procs[1], addr[0])
        if [p.stdout.readline().strip() for p in procs] != ['go', 'go']:
            raise Failed('no connection')
        for p in procs:
            say(p, 'go')
        # Anything from the first post on; the test's own randomness, not a wait for something.
        time.sleep(rng.expovariate(1 / 0.02))
        victim = rng.randrange(2)
        os.kill(pids[victim], signal.SIGKILL)
        procs[victim].wait(LIMIT)
        t0 = time.monotonic()
        survivor = procs[1 - victim]
        # A WRITE or READ makes no completion at its target: that side only has its flush.
        out, err = finish(survivor)
        took = time.monotonic() - t0
        if survivor.returncode != 3:
            raise Failed(f'{roles} victim {victim}: survivor status {survivor.returncode}: {out} {err}')
        if 'killed' not in err:
            raise Failed(f'no reason was given: {err!r}')
        return took
    finally:
        for p, pid in zip(procs, pids):
            if p.poll() is None:
                os.kill(pid, signal.SIGKILL)
                p.wait()


def left_over():
    """What the machine still shows of dead processes. Survivors have ended, too."""
    now = listing()
    kinds = ('qps', 'cqs', 'mrs')
    return {k: now[k] for k in kinds if now[k]}


def main():
    rng = random.Random(SEED)
    print(f'1..{ROUNDS + 1}')
    print(f'# seed {SEED}')
    slowest = 0.0
    # Somebody who stays: the machine is not made anew between rounds.
    keeper = subprocess.Popen([OLIO, 'run', '--', 'sh', '-c', 'ibv_devices >/dev/null; echo up; read x'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    keeper.stdout.readline()
    for i in range(1, ROUNDS + 1):
        try:
            slowest = max(slowest, one_round(rng))
            left = left_over()
            if left:
                raise Failed(f'left on the machine: {left}')
            print(f'ok {i} - kill {i}', flush=True)
        except (Failed, OSError, ValueError, subprocess.SubprocessError) as e:
            print(f'not ok {i} - kill {i}\n# {e}', flush=True)
    print(f'# the slowest survivor took {slowest * 1000:.0f} ms')
    out = subprocess.run([OLIO, 'pair', '--', 'ib_write_bw', '-n', '100'], capture_output=True,
                         text=True)
    print(('ok' if out.returncode == 0 else 'not ok') + f' {ROUNDS + 1} - perftest on the machine of the dead')
    keeper.communicate('\n')


main()
