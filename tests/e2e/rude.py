#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A program that misbehaves does not hurt another one.

One side unmaps its registered memory, closes all its descriptors, forks, execs
or exits in the middle of a transfer. The other must get an error completion that
fits, with a reason on stderr, and the machine must carry a new pair afterwards.

needs OLIO and OLIO_PEER in the environment
"""
import json
import os
import subprocess

OLIO, PEER = os.environ['OLIO'], os.environ['OLIO_PEER']
LIMIT = 20
os.environ['OLIO_MACHINE'] = f'rude-{os.getpid()}'

# what the receiver does, what the sender's completion says, what the reason says
CASES = [('unmap', 'remote operation error', 'unmapped'),
         ('closeall', 'transport retry counter exceeded', 'did not answer'),
         ('exec', 'transport retry counter exceeded', ''),
         ('exit', 'transport retry counter exceeded', 'did not answer'),
         ('fork', 'transport retry counter exceeded', 'did not answer')]


def start(*role):
    return subprocess.Popen([OLIO, 'run', '--', PEER, *role], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)


def say(p, line):
    p.stdin.write(line + '\n')
    p.stdin.flush()


def connect(a, b):
    addr = [p.stdout.readline().strip() for p in (a, b)]
    say(a, addr[1])
    say(b, addr[0])
    assert [p.stdout.readline().strip() for p in (a, b)] == ['go', 'go'], 'no connection'
    for p in (a, b):
        say(p, 'go')


def case(what, status, reason):
    sender, rude = start('send'), start('recv', '-x', what)
    try:
        connect(sender, rude)
        out, err = sender.communicate(timeout=LIMIT)
        assert sender.returncode == 3, f'sender status {sender.returncode}: {out}{err}'
        assert out.startswith(status), f'completion: {out}'
        assert reason in err, f'reason: {err}'
        rude_out, rude_err = rude.communicate(timeout=LIMIT)
        if what == 'fork':
            assert rude.returncode == 0, f'status {rude.returncode}: {rude_err}'
            assert 'forked' in rude_out, rude_out
            assert int(out.split()[-1]) >= 150, f'nothing moved after the fork: {out}'
        if what == 'unmap':
            assert rude.returncode == 3, f'status {rude.returncode}: {rude_err}'
    finally:
        for p in (sender, rude):
            if p.poll() is None:
                p.kill()
                p.wait()


def main():
    print(f'1..{len(CASES) + 2}')
    n = 0
    keeper = subprocess.Popen([OLIO, 'run', '--', 'sh', '-c', 'ibv_devices >/dev/null; echo up; read x'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    keeper.stdout.readline()
    for n, c in enumerate(CASES, 1):
        try:
            case(*c)
            print(f'ok {n} - {c[0]}', flush=True)
        except (AssertionError, subprocess.SubprocessError, OSError) as e:
            print(f'not ok {n} - {c[0]}\n# {e}', flush=True)
    left = json.loads(subprocess.run([OLIO, 'ls', '--json'], capture_output=True, text=True).stdout)
    ok = not (left['qps'] or left['cqs'] or left['mrs'])
    print(('ok' if ok else 'not ok') + f' {n + 1} - nothing is left')
    out = subprocess.run([OLIO, 'pair', '--', 'ib_send_bw', '-n', '100'], capture_output=True)
    print(('ok' if out.returncode == 0 else 'not ok') + f' {n + 2} - a new pair runs')
    keeper.communicate('\n')


main()
