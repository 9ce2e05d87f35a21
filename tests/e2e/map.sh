#!/bin/bash
# SPDX-License-Identifier: MIT
# olio map: a hodgepodge on each type of machine, refusals with their reason, JSON and
# drawings that can be parsed; olio ls maps and page lists of a program that runs.
. "$(dirname "$0")/lib.sh"
machines=$(cd "$(dirname "$0")/../../examples/machines" && pwd)

json() { # NAME CODE: the last output is JSON d and CODE holds
	if python3 -c "import json, sys
d = json.load(open(sys.argv[1]))
$2" "$tmp/out" 2>>"$tmp/err"; then pass "$1"; else fail "$1" "$tmp/out" "$tmp/err"; fi
}

# The whole map hangs together: pieces cover the list, segments cover the pieces, pages
# the segments.
whole='
assert sum(m["length"] for m in d["memory"]) == d["length"]
assert sum(r["length"] for r in d["runs"]) == d["length"]
at = 0
for p in d["pieces"]:
    assert p["offset"] == at, p
    at += p["length"]
assert at == d["length"]
bytes_of = {}
for s in d["segments"]:
    assert s["last"] - s["dma"] + 1 == s["length"]
assert sum(s["length"] for s in d["segments"]) == d["length"]
for p in d["pieces"]:
    at = p["dma"]
    while at < p["dma"] + p["length"]:
        inside = [s for s in d["segments"] if s["dma"] <= at <= s["last"]]
        assert inside, p
        at = inside[0]["last"] + 1
if d["page_size"]:
    size = d["page_size"]
    pages = {r["dma"] + i * size for r in d["pages"] for i in range(r["pages"])}
    for s in d["segments"]:
        for a in range(s["dma"] // size * size, s["last"] + 1, size):
            assert a in pages, hex(a)
    assert len(pages) == sum(r["pages"] for r in d["pages"])
'

printf '%5000s' x >"$tmp/file"
"$OLIO" topo --types | awk 'NR > 1 { print $1 }' >"$tmp/types"
while read -r type; do
	huge=2M
	[ "$type" = hostile ] && huge=128K # it has few bounce slots
	works "a hodgepodge on $type" "$OLIO" map --machine-type "$type" --device dma0 --json --svg "$tmp/a.svg" \
		anon:64K huge:$huge memfd:20K anon:8K@100 "file:$tmp/file" "file:$tmp/file:4096:100" anon:3
	json "all of it is there" "$whole
assert len(d['memory']) == 7"
	if python3 -c 'import sys, xml.dom.minidom as d; d.parse(sys.argv[1])' "$tmp/a.svg" 2>>"$tmp/err"; then pass "the drawing is XML"; else fail "the drawing is XML" "$tmp/err"; fi
done <"$tmp/types"

# Boxes of a band do not overlap, and nothing is drawn outside.
cat >"$tmp/check-svg.py" <<'EOF'
import sys, xml.etree.ElementTree as et
svg = et.parse(sys.argv[1]).getroot()
ns = '{http://www.w3.org/2000/svg}'
w, h = float(svg.get('width')), float(svg.get('height'))
bands = {}
for g in svg.iter(ns + 'g'):
    r = g.find(ns + 'rect')
    x, y, rw = float(r.get('x')), float(r.get('y')), float(r.get('width'))
    assert x >= 0 and x + rw <= w and y >= 0 and y + float(r.get('height')) <= h
    bands.setdefault(y, []).append((x, rw))
assert len(bands) == 3 and len({len(b) for b in bands.values()}) == 1
for b in bands.values():
    b.sort()
    for (x, rw), (y, _) in zip(b, b[1:]):
        assert x + rw <= y + 0.2, (x, rw, y)
for t in svg.iter(ns + 'text'):
    width = 6.4 * len(t.text) * float(t.get('font-size', 11)) / 11
    x = float(t.get('x'))
    start = {'end': x - width, 'middle': x - width / 2}.get(t.get('text-anchor'), x)
    assert start > -8 and start + width < w + 30, (t.text, start, width)
EOF
many=()
for i in $(seq 64); do many+=("anon:9000@$i"); done
works "a drawing with much in it" "$OLIO" map --machine-type "$machines/tight.yaml" --device dma0 --svg "$tmp/a.svg" \
	anon:1M@100 anon:4K anon:40K@7 memfd:64K anon:1 anon:9000
if python3 "$tmp/check-svg.py" "$tmp/a.svg" 2>"$tmp/err"; then pass "nothing overlaps"; else fail "nothing overlaps" "$tmp/err"; fi
works "a drawing with too much in it" "$OLIO" map --machine-type "$machines/tight.yaml" --device dma0 --svg "$tmp/b.svg" "${many[@]}"
if python3 "$tmp/check-svg.py" "$tmp/b.svg" 2>"$tmp/err"; then pass "nothing overlaps there"; else fail "nothing overlaps there" "$tmp/err"; fi

# ---- how it gets there ----
works "a BAR of a peer below the switch" "$OLIO" map --machine-type p2p-switch --device hca0 --json bar:acc0:2:4K:64K anon:4K
json "goes by bus address" "$whole
assert [p['how'] for p in d['pieces']] == ['p2p-bus', 'direct'] and d['runs'][0]['kind'] == 'mmio'"
works "a BAR by way of the host bridge" "$OLIO" map --device hca0 --json bar:acc0:2:0:1M
json "goes through the IOMMU" "$whole
assert [p['how'] for p in d['pieces']] == ['p2p-host']"
works "private memory" "$OLIO" map --machine-type "$machines/confidential.yaml" --device dma0 --json private:8K shared:4K
json "is bounced, shared memory is not" "$whole
assert {(p['kind'], p['how']) for p in d['pieces']} == {('private', 'bounced'), ('shared', 'direct')}"
works "private memory for a trusted device" "$OLIO" map --machine-type "$machines/confidential.yaml" --device hca0 --json private:8K
json "is mapped" "$whole
assert {p['how'] for p in d['pieces']} == {'direct'}"
works "a device of 32 bits without IOMMU" "$OLIO" map --machine-type no-iommu --device dma32 --json anon:64K
json "is bounced" "$whole
assert {p['how'] for p in d['pieces']} == {'bounced'} and all(s['last'] < 1 << 32 for s in d['segments'])"
works "partial pages" "$OLIO" map --device dma0 --granule bounce --json anon:10000@100
json "are bounced if so wished" "$whole
assert [p['how'] for p in d['pieces']][::len(d['pieces']) - 1] == ['bounced', 'bounced']"
works "a mask" "$OLIO" map --device dma0 --mask 24 --json anon:64K
json "is kept to" "assert all(s['last'] < 1 << 24 for s in d['segments'])"
works "for people" "$OLIO" map --device dma0 anon:1M
says "long lists are cut" '^… and [0-9]+ more'
says "and summed up" '^dma0: 1 MiB in [0-9]+ runs?, 1 segment, 1 page of 1 MiB: 1 MiB direct$'

# ---- refusals: one line, a reason, status 1 ----
refused "a switch with ACS" 1 'refused \(p2p-acs\)' "$OLIO" map --machine-type p2p-acs --device hca0 bar:acc0:2:0:4K
refused "a BAR that is not offered" 1 'p2p-no-provider' "$OLIO" map --device hca0 bar:dma0:0:0:4K
refused "no PCI device" 1 'refused \(p2p-not-pci\)' "$OLIO" map --device plat0 bar:acc0:2:0:4K
refused "not coherent" 1 'refused \(non-coherent\)' "$OLIO" map --machine-type arm-noncoherent --device dma0 --attr require-coherent anon:4K
refused "would be bounced" 1 'refused \(encrypted\)' "$OLIO" map --machine-type cc-guest --device dma0 --attr require-coherent anon:4K
refused "partial pages" 1 'refused \(granule\)' "$OLIO" map --device dma0 --granule refuse anon:100
refused "RAM that is said to be MMIO" 1 'refused \(bad-attribute\)' "$OLIO" map --device dma0 --attr mmio anon:4K
timeout 60 "$OLIO" map --machine-type p2p-acs --device hca0 --json bar:acc0:2:0:4K >"$tmp/out" 2>"$tmp/err"
[ $? -eq 1 ] && pass "a refusal as JSON has status 1" || fail "a refusal as JSON has status 1" "$tmp/out" "$tmp/err"
json "and a reason" "assert d['refused'][0]['reason'] == 'p2p-acs' and 'acc0' in d['refused'][0]['text']"

timeout 60 "$OLIO" map --machine-type hostile --device dma0 anon:4M >"$tmp/out" 2>"$tmp/err"
[ $? -eq 1 ] && pass "more than can be bounced" || fail "more than can be bounced" "$tmp/out" "$tmp/err"
says "is refused" 'refused \(bounce-full\)'

# ---- wrong command lines ----
refused "no device" 2 "needs --device" "$OLIO" map anon:4K
refused "no such device" 2 "no device 'hca7'.*hca0" "$OLIO" map --device hca7 anon:4K
refused "no memory" 2 "needs 1 to" "$OLIO" map --device hca0
refused "unknown memory" 2 "memory is anon:" "$OLIO" map --device hca0 disk:4K
for bad in anon: anon:x anon:0 anon:-1 anon:4K@ anon:4Kx anon:99G anon:18446744073709551615 anon:4K@18446744073709551615 \
	memfd:0 bar: bar:acc0 bar:acc0:2 bar:acc0:9:0:4K bar:acc0:2:0:4Kx "file:$tmp/file:1:5000" \
	"file:$tmp/file:5000:1" file:/dev/null shared:x; do
	type=pc
	case $bad in shared*) type=cc-guest ;; esac
	refused "'$bad'" 2 "$bad" "$OLIO" map --machine-type $type --device hca0 "$bad"
done
refused "a missing file" 1 "No such file" "$OLIO" map --device hca0 file:/no/such
refused "a BAR that does not exist" 1 "no-bar|no such BAR" "$OLIO" map --device hca0 bar:acc0:5:0:4K
refused "beyond a BAR's end" 1 "beyond" "$OLIO" map --device hca0 bar:acc0:2:1M:4K
refused "private memory where nothing is encrypted" 1 "does not encrypt" "$OLIO" map --device hca0 private:4K
refused "an unknown direction" 2 "takes to, from, both, not 'up'" "$OLIO" map --device hca0 --dir up anon:4K
refused "an unknown attribute" 2 "takes require-coherent.*'quick'" "$OLIO" map --device hca0 --attr mmio,quick anon:4K
refused "an unknown policy" 2 "takes expose" "$OLIO" map --device hca0 --granule hide anon:4K
refused "a mask that is none" 2 "from 12 to 64" "$OLIO" map --device hca0 --mask 11 anon:4K
refused "a drawing that cannot be written" 1 "cannot write /no/such" sh -c '"$0" map --device hca0 --svg /no/such/a.svg anon:4K >/dev/null' "$OLIO"

# ---- a program that runs ----
cat >"$tmp/reg.py" <<'EOF'
import json, subprocess, sys
from pyverbs.device import Context
from pyverbs.pd import PD
from pyverbs.mr import MR
def ls(*args):
    return json.loads(subprocess.run([sys.argv[1], 'ls', '--json', *args], check=True,
                                     capture_output=True, text=True).stdout)
pd = PD(Context(name='hca0'))
assert ls('maps')['maps'] == []
mr = MR(pd, 20000, 7)
if sys.argv[2] == 'iommu':
    maps = ls('maps')['maps']
    assert sum(m['length'] for m in maps) == 20480 and maps[0]['device'] == 'hca0', maps
    assert ('0x%x' % (mr.buf & ~4095)) in maps[0]['target'], maps
d = ls('mr', '-v')
region, = d['mrs']
blocks = [b for b in d['blocks'] if b['lkey'] == mr.lkey]
assert region['lkey'] == mr.lkey and sum(b['length'] for b in blocks) >= 20000, d
assert len({b['pa'] for b in blocks}) == len(blocks) and all(b['pa'] for b in blocks), blocks
assert all(b['pa'] != b['dma'] for b in blocks), blocks
assert set(ls('faults')) == {'faults'} and ls('misuse')['misuse'] == []
mr.close()
assert ls('maps')['maps'] == [] or sys.argv[2] != 'iommu'
EOF
works "maps and page lists behind an IOMMU" "$OLIO" run --machine-type p2p-acs --device hca0 -- /usr/bin/python3 "$tmp/reg.py" "$OLIO" iommu
works "page lists without" "$OLIO" run --machine-type no-iommu --device hca0 -- /usr/bin/python3 "$tmp/reg.py" "$OLIO" none

# ---- what was recorded ----
cat >"$tmp/wrong.py" <<'EOF'
import ctypes as c, json, os, subprocess, sys
lib = c.CDLL(os.path.join(os.path.dirname(sys.argv[1]), '../lib/libolio.so.0'))
m, dev, why = c.c_void_p(), c.c_void_p(), c.create_string_buffer(512)
assert lib.olio_machine_create(sys.argv[2].encode(), b'pc', c.byref(m), why, 512) == 0, why.value
assert lib.olio_dev_open(m, b'dma0', c.byref(dev)) == 0
class iova(c.Structure): _fields_ = [('v', c.c_uint64)]
lib.olio_dev_read.argtypes = [c.c_void_p, iova, c.c_void_p, c.c_uint64]
lib.olio_dma_unmap.argtypes = [c.c_void_p, iova, c.c_uint64, c.c_int, c.c_uint32]
assert lib.olio_dev_read(dev, iova(0x1234000), why, 16) == -14
assert lib.olio_dma_unmap(dev, iova(0x5678000), 4096, 1, 0) == -2
d = json.loads(subprocess.run([sys.argv[1], 'ls', '-m', sys.argv[2], '--json', 'faults', 'misuse'],
                              check=True, capture_output=True, text=True).stdout)
fault, = d['faults']
assert fault['device'] == 'dma0' and fault['dma'] == 0x1234000 and fault['access'] == 'read', d
assert fault['pid'] == os.getpid() and fault['length'] == 16, d
misuse, = d['misuse']
assert misuse['class'] == 1 and misuse['name'] == 'double-unmap' and misuse['device'] == 'dma0', d
lib.olio_dev_close(dev)
lib.olio_machine_close(m)
EOF
works "faults and misuse are listed" python3 "$tmp/wrong.py" "$OLIO" "wrong-$$"
plan
