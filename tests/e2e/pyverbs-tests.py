#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""rdma-core's own tests of the verbs, through its Python bindings (TAP).

Debian ships the tests compressed in its documentation; they are copied and
unpacked. Then this file runs itself under `olio run`, loads the modules and runs
every test in a forked child with a time limit. Those in pyverbs-expected.txt
pass on Linux's rxe: they must pass. Others may skip, but not fail.
"""
import glob
import gzip
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
DOC = 'usr/share/doc/rdma-core/tests'
# Where scripts/deps puts them if the system has no documentation.
FETCHED = os.path.join(HERE, '..', '..', 'build-peer', DOC)
SOURCE = FETCHED if os.path.isdir(FETCHED) else '/' + DOC
MODULES = ('test_addr', 'test_atomic', 'test_cq', 'test_cq_events', 'test_cqex', 'test_device', 'test_mr',
           'test_parent_domain', 'test_pd', 'test_qp', 'test_qpex', 'test_relaxed_ordering',
           'test_shared_pd')
LIMIT = 30


def unpack(folder):
    for path in glob.glob(SOURCE + '/*'):
        name = os.path.join(folder, os.path.basename(path))
        if name.endswith('.gz'):
            with gzip.open(path) as src, open(name[:-3], 'wb') as dst:
                shutil.copyfileobj(src, dst)
        else:
            shutil.copy(path, name)
    keep = {m + '.py' for m in MODULES} | {'__init__.py'}
    for name in os.listdir(folder):
        if name.startswith('test_') and name not in keep:
            os.unlink(os.path.join(folder, name))


def flat(suite):
    for t in suite:
        if isinstance(t, unittest.TestSuite):
            yield from flat(t)
        else:
            yield t


def load(folder):
    sys.argv[1:] = ['--dev', os.environ.get('DEVICE', 'rxe0'), '--port', '1', '--gid', '1']
    sys.path[:0] = [folder, os.path.dirname(folder)]
    from args_parser import parser
    parser.parse_args()
    tests = []
    for name in MODULES:
        module = __import__('tests.' + name, fromlist=[name])
        tests += flat(unittest.defaultTestLoader.loadTestsFromModule(module))
    return sorted((t for t in tests if t.id().split('.')[1] in MODULES), key=lambda t: t.id())


def outcome(test):
    """In the child: (word, explanation) of one test."""
    result = unittest.TestResult()
    test(result)
    for word, found in (('error', result.errors), ('failure', result.failures)):
        if found:
            return word, found[0][1]
    if result.skipped:
        return 'skip', result.skipped[0][1]
    if result.unexpectedSuccesses:
        return 'failure', 'it was expected to fail'
    return 'pass', ''


def child(test, fd):
    os.setpgrp()
    null = os.open('/dev/null', os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    try:
        word, text = outcome(test)
    except BaseException as e:
        word, text = 'error', repr(e)
    os.write(fd, (word + '\n' + text[-3000:]).encode())
    os._exit(0)


def run_forked(test):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(r)
        child(test, w)
    os.close(w)
    data = os.read(r, 8192) if select.select([r], [], [], LIMIT)[0] else None
    os.close(r)
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    status = os.waitpid(pid, 0)[1]
    if data is None:
        return 'hang', f'no result after {LIMIT} s'
    if not data:
        return 'crash', f'wait status {status}'
    word, _, text = data.decode().partition('\n')
    return word, text


def inside(folder):
    expected = set(open(os.path.join(HERE, 'pyverbs-expected.txt')).read().split('\n')) - {''}
    expected = {e for e in expected if not e.startswith('#')}
    number = 0
    for test in load(folder):
        number += 1
        name = test.id()
        word, text = run_forked(test)
        if word == 'pass':
            print(f'ok {number} - {name}')
        elif word == 'skip' and name not in expected:
            print(f'ok {number} - {name} # SKIP {" ".join(text.split())}')
        else:
            print(f'not ok {number} - {name}')
            print(''.join(f'# {l}\n' for l in [word] + text.splitlines()), end='')
        expected.discard(name)
        sys.stdout.flush()
    for name in sorted(expected):
        number += 1
        print(f'not ok {number} - {name}\n# rdma-core has no such test')
    print(f'1..{number}')


def main():
    if len(sys.argv) > 1:
        return inside(sys.argv[1])
    if not os.path.isdir(SOURCE):
        print(f'not ok 1 - {SOURCE} exists\n1..1')
        return 1
    os.environ['OLIO_MACHINE'] = f'e2e-pyverbs-{os.getpid()}'
    with tempfile.TemporaryDirectory() as top:
        folder = os.path.join(top, 'tests')
        os.mkdir(folder)
        unpack(folder)
        # What failed is in the results; the tests provoke errors on purpose.
        p = subprocess.run([os.environ['OLIO'], 'run', '--report', os.path.join(top, 'report'),
                            '--', sys.executable, __file__, folder], stderr=subprocess.PIPE,
                           text=True)
        if p.returncode:
            sys.stderr.write(p.stderr)
        return p.returncode


if __name__ == '__main__':
    sys.exit(main())
