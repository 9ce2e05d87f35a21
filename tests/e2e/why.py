#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Errors that say why: what `olio run` tells about failed work requests (TAP).

This file runs itself under `olio run` with the name of a mistake. The inner run
connects two queue pairs through pyverbs, makes the mistake, and expects the
completion status that verbs prescribe; the outer one reads what olio said.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

SIZE = 4096


class Side:
    """A queue pair with its own buffer, region, completion queue."""

    def __init__(self, ctx, access):
        from pyverbs.cq import CQ
        from pyverbs.mr import MR
        from pyverbs.pd import PD
        from pyverbs.qp import QP, QPCap, QPInitAttr
        self.pd, self.cq = PD(ctx), CQ(ctx, 64)
        self.mr = MR(self.pd, SIZE, access)
        init = QPInitAttr(qp_type=2, scq=self.cq, rcq=self.cq,
                          cap=QPCap(max_send_wr=32, max_recv_wr=32), sq_sig_all=1)
        self.qp = QP(self.pd, init)

    def connect(self, ctx, peer):
        from pyverbs.addr import AHAttr, GlobalRoute
        from pyverbs.qp import QPAttr
        gid = ctx.query_gid(1, 1)
        attr = QPAttr(port_num=1)
        attr.qp_access_flags = 0x7
        attr.dest_qp_num = peer.qp.qp_num
        attr.path_mtu, attr.max_rd_atomic, attr.max_dest_rd_atomic = 3, 1, 1
        attr.min_rnr_timer, attr.timeout, attr.retry_cnt, attr.rnr_retry = 1, 8, 1, 1
        attr.ah_attr = AHAttr(port_num=1, is_global=1, gr=GlobalRoute(dgid=gid, sgid_index=1))
        self.qp.to_rts(attr)

    def post(self, opcode, rkey=0, addr=0, length=64, wr_id=7, lkey=None):
        from pyverbs.wr import SGE, SendWR
        sge = SGE(self.mr.buf, length, self.mr.lkey if lkey is None else lkey)
        wr = SendWR(wr_id=wr_id, opcode=opcode, num_sge=1, sg=[sge])
        wr.set_wr_rdma(rkey, addr)
        self.qp.post_send(wr)

    def status(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            n, wcs = self.cq.poll()
            if n:
                return wcs[0].status
        return -1


def make(mistake, expected):
    """In the inner run: exit status 0 if the completion is the expected one."""
    from pyverbs.device import Context
    ctx = Context(name='rxe0')
    access = 1 if mistake == 'no access' else 7
    a, b = Side(ctx, 1), Side(ctx, access)
    a.connect(ctx, b)
    b.connect(ctx, a)
    write, read, send = 0, 4, 2
    if mistake == 'out of range':
        a.post(write, b.mr.rkey, b.mr.buf + SIZE - 32)
    elif mistake == 'bad key':
        a.post(read, b.mr.rkey ^ 0x5500, b.mr.buf)
    elif mistake == 'no access':
        a.post(write, b.mr.rkey, b.mr.buf)
    elif mistake == 'bad lkey':
        a.post(write, b.mr.rkey, b.mr.buf, lkey=a.mr.lkey ^ 0x5500)
    elif mistake == 'no receive':
        a.post(send)
    elif mistake == 'many':
        a.post(write, b.mr.rkey, b.mr.buf + SIZE)
        a.status()
        for i in range(20):
            a.post(write, b.mr.rkey, b.mr.buf, wr_id=100 + i)
        return 0
    elif mistake == 'wait':
        a.post(write, b.mr.rkey, b.mr.buf + SIZE)
        a.status()
        print('failed', flush=True)
        sys.stdin.readline()
        return 0
    status = a.status()
    if status != expected:
        print(f'completion status {status}, expected {expected}')
    return 0 if status == expected else 1


OLIO = os.environ.get('OLIO', 'olio')
CASES = [
    ('out of range', 10, r'IBV_WC_REM_ACCESS_ERR \(WR 7\): RDMA WRITE .*rkey 0x[0-9a-f]+ covers '
                         r'.*\+4096\), asked for .*\+64\).*32 bytes behind'),
    ('bad key', 10, r'IBV_WC_REM_ACCESS_ERR \(WR 7\): RDMA READ .*rkey 0x[0-9a-f]+ names no region'),
    ('no access', 10, r'IBV_WC_REM_ACCESS_ERR \(WR 7\): .*without remote write'),
    ('bad lkey', 4, r'IBV_WC_LOC_PROT_ERR \(WR 7\): .*lkey 0x[0-9a-f]+ names no region'),
    ('no receive', 13, r'IBV_WC_RNR_RETRY_EXC_ERR \(WR 7\): SEND .*no receive posted'),
]

number = 0


def result(good, name, *notes):
    global number
    number += 1
    print(f'{"" if good else "not "}ok {number} - {name}')
    if not good:
        print(''.join(f'# {l}\n' for n in notes for l in str(n).splitlines()), end='', flush=True)


def inner(mistake, expected, *options):
    return [OLIO, 'run', *options, '--', sys.executable, __file__, mistake, str(expected)]


def test_cases():
    for mistake, expected, pattern in CASES:
        p = subprocess.run(inner(mistake, expected), capture_output=True, text=True, timeout=60)
        result(p.returncode == 0, f'{mistake}: completion status {expected}', p.stdout, p.stderr)
        lines = p.stderr.splitlines()
        result(any(re.match(r'olio: python3?[^ ]*\[\d+\]: ' + pattern, l) for l in lines),
               f'{mistake}: olio run says why', p.stderr)


def test_report(folder):
    path = os.path.join(folder, 'report')
    p = subprocess.run(inner('many', 0, '--report', path), capture_output=True, text=True, timeout=60)
    flushed = [l for l in p.stderr.splitlines() if 'flushed' in l]
    result(len(flushed) == 1 and ' 20 work requests ' in flushed[0],
           'flushed requests are counted, not listed', p.stderr)
    text = open(path).read()
    result('IBV_WC_REM_ACCESS_ERR' in text and re.search(r'key covers +0x[0-9a-f]+ \+ 4096', text)
           and 'stands for' in text, '--report has all of it', text)


def test_while_running():
    p = subprocess.Popen(inner('wait', 0), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, bufsize=1)
    p.stdout.readline()
    records = subprocess.run([OLIO, 'explain', '--json'], capture_output=True, text=True).stdout
    found = [r for r in json.loads(records)['records'] if r['status_name'] == 'IBV_WC_REM_ACCESS_ERR']
    result(len(found) == 1 and found[0]['have_length'] == SIZE and found[0]['want_length'] == 64
           and found[0]['wr_id'] == 7, 'olio explain --json has the record', records)
    p.send_signal(signal.SIGUSR1)
    line = p.stderr.readline()
    result('IBV_WC_REM_ACCESS_ERR' in line, 'SIGUSR1 asks for it', line)
    p.communicate('\n', timeout=60)


def main():
    if len(sys.argv) > 1:
        return make(sys.argv[1], int(sys.argv[2]))
    os.environ['OLIO_MACHINE'] = f'why-{os.getpid()}'
    test_cases()
    with tempfile.TemporaryDirectory() as folder:
        test_report(folder)
    test_while_running()
    print(f'1..{number}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
