#!/bin/bash
# SPDX-License-Identifier: MIT
# olio topo: every type as a tree, as JSON and as a description that can be read again;
# the host's tree, real and made up; and what it refuses.
. "$(dirname "$0")/lib.sh"
machines=$(cd "$(dirname "$0")/../../examples/machines" && pwd)

json() { # NAME CODE: the last output is JSON d and CODE holds
	if python3 -c "import json, sys
d = json.load(open(sys.argv[1]))
$2" "$tmp/out" 2>>"$tmp/err"; then pass "$1"; else fail "$1" "$tmp/out" "$tmp/err"; fi
}

works "topo" "$OLIO" topo
says "shows the default type" '^pc: '
says "shows the tree" 'hca0 +01:00\.0 +endpoint +vtdss strict +yes +64 +RDMA'
says "shows BARs" '2: 1 MiB at 0x[0-9a-f]+ for peers'
works "topo --types" "$OLIO" topo --types
awk 'NR > 1 { print $1 }' "$tmp/out" >"$tmp/types"
[ "$(wc -l <"$tmp/types")" -ge 7 ] && pass "lists types" || fail "lists types" "$tmp/types"
works "topo --types --json" "$OLIO" topo --types --json
json "is JSON" "assert {'pc', 'p2p-acs', 'hostile'} <= {t['type'] for t in d['types']}"

while read -r type; do
	works "topo of $type" "$OLIO" topo --machine-type "$type"
	works "topo --json of $type" "$OLIO" topo --machine-type "$type" --json
	json "has machine, nodes and peers" "
assert d['machine'][0]['type'] == '$type'
def names(nodes): return [x for n in nodes for x in [n['node']] + names(n.get('children', []))]
all = names(d['nodes'])
assert 'dma0' in all and len(all) == len(set(all)), all
assert all.index('pci0') == 0
for p in d['p2p']:
    assert p['provider'] in all and p['client'] in all
    assert (p['type'] == 'not-supported') == (p['reason'] != 'none'), p
"
	works "topo --yaml of $type" "$OLIO" topo --machine-type "$type" --yaml
	cp "$tmp/out" "$tmp/$type.yaml"
	works "and that can be read" "$OLIO" topo --machine-type "$tmp/$type.yaml" --yaml
	if cmp -s "$tmp/$type.yaml" "$tmp/out"; then pass "and is the same"; else fail "and is the same" "$tmp/out"; fi
done <"$tmp/types"
for f in "$machines"/*.yaml; do
	works "topo of $(basename "$f")" "$OLIO" topo --machine-type "$f"
done

# ---- peers ----
works "peers below a switch" "$OLIO" topo --machine-type p2p-switch --json
json "reach each other by bus address" "
p = {(x['provider'], x['client']): x for x in d['p2p']}
assert p['acc0', 'hca0']['type'] == 'bus-address' and p['acc0', 'hca0']['distance'] == 4"
works "peers below a switch with ACS" "$OLIO" topo --machine-type p2p-acs --json
json "do not" "
p = {(x['provider'], x['client']): x for x in d['p2p']}
assert p['acc0', 'hca0']['reason'] == 'p2p-acs'"
works "one port with ACS" "$OLIO" topo --machine-type "$machines/port-with-acs.yaml" --json
json "stops one of them" "
p = {(x['provider'], x['client']): x for x in d['p2p']}
assert p['acc0', 'hca0']['type'] == 'bus-address'
assert p['acc1', 'hca0']['reason'] == 'p2p-acs'"

# ---- a machine that lives ----
works "topo of a living machine" "$OLIO" run --machine-type p2p-acs -- "$OLIO" topo
says "is of its type" '^p2p-acs: '
works "topo -m" "$OLIO" run -m "$tmp/m" --machine-type hostile -- "$OLIO" topo -m "$tmp/m"
says "is of its type, too" '^hostile: '
refused "topo -m of no machine" 1 "no.*machine" "$OLIO" topo -m "none-$$"

# ---- descriptions that are wrong ----
printf 'ram-size: 1G\niommu:\n  mode: fast\n' >"$tmp/bad.yaml"
refused "a wrong word" 2 "bad.yaml:3: mode: none, strict, lazy is wanted" "$OLIO" topo --machine-type "$tmp/bad.yaml"
printf 'nodes:\n- {name: a, kind: root-port}\n' >"$tmp/bad.yaml"
refused "a wrong tree" 2 "bad.yaml:2: node 'a'" "$OLIO" topo --machine-type "$tmp/bad.yaml"
refused "an unknown type" 2 "no machine type 'vax'.*p2p-acs" "$OLIO" topo --machine-type vax
refused "no file" 2 "/no/such.yaml" "$OLIO" topo --machine-type /no/such.yaml
refused "two wishes" 2 "exclude each other" "$OLIO" topo --host --machine-type pc
refused "JSON and YAML" 2 "exclude each other" "$OLIO" topo --json --yaml
refused "an argument" 2 "no argument 'x'" "$OLIO" topo x

# ---- the host ----
works "topo --host" "$OLIO" topo --host
works "topo --host --json" "$OLIO" topo --host --json
json "is JSON" "assert isinstance(d['devices'], list) and 'unreadable' in d"
mkdir -p "$tmp/empty"
works "a host without PCI" env OLIO_SYSFS="$tmp/empty" "$OLIO" topo --host
says "says so" '^No PCI here'
works "a host without PCI, --json" env OLIO_SYSFS="$tmp/empty" "$OLIO" topo --host --json
json "is JSON, too" "assert d['devices'] == []"
if [ "$(id -u)" -eq 0 ]; then
	works "topo --host as an ordinary user" setpriv --reuid 65534 --regid 65534 --clear-groups "$OLIO" topo --host
else
	pass "topo --host as an ordinary user"
fi

# A host that was made up: a root port with ACS, an endpoint with a BAR below it, in a group.
fake() { # ADDRESS CLASS VENDOR DEVICE
	local d=$tmp/sys/bus/pci/devices/$1
	mkdir -p "$d"
	echo "$2" >"$d/class"
	echo "0x$3" >"$d/vendor"
	echo "0x$4" >"$d/device"
	echo 0 >"$d/irq"
	echo 0x0 >"$d/subsystem_vendor"
	echo 0x0 >"$d/subsystem_device"
	for _ in 1 2 3 4 5 6 7; do echo "0x0000000000000000 0x0000000000000000 0x0000000000000000"; done >"$d/resource"
	echo 64 >"$d/dma_mask_bits"
}
fake 0000:00:1c.0 0x060400 8086 a340
fake 0000:01:00.0 0x020700 15b3 1017
python3 - "$tmp/sys/bus/pci/devices" <<'EOF'
import struct, sys
def config(path, cls, vendor, device, header, secondary, port, acs):
    c = bytearray(4096)
    struct.pack_into('<HHHHBBBB', c, 0, vendor, device, 6, 0x10, 0, 0, cls & 255, cls >> 8)
    c[0x0e] = header
    c[0x18:0x1b] = bytes([0, secondary, secondary]) if header else b'\0\0\0'
    c[0x34] = 0x40
    struct.pack_into('<BBH', c, 0x40, 0x10, 0, 2 | port << 4)
    if acs is not None:
        struct.pack_into('<IHH', c, 0x100, 0x0001000d, 0x7f, acs)
    open(path + '/config', 'wb').write(c)
base = sys.argv[1]
config(base + '/0000:00:1c.0', 0x0604, 0x8086, 0xa340, 1, 1, 4, 0x1d)
config(base + '/0000:01:00.0', 0x0207, 0x15b3, 0x1017, 0, 0, 0, None)
lines = ['0x00000000f0000000 0x00000000f1ffffff 0x000000000014220c'] + ['0x0 0x0 0x0'] * 6
open(base + '/0000:01:00.0/resource', 'w').write('\n'.join(lines) + '\n')
EOF
mkdir -p "$tmp/sys/kernel/iommu_groups/7"
echo DMA-FQ >"$tmp/sys/kernel/iommu_groups/7/type"
ln -s ../../../../kernel/iommu_groups/7 "$tmp/sys/bus/pci/devices/0000:01:00.0/iommu_group"
works "a host that was made up" env OLIO_SYSFS="$tmp/sys" "$OLIO" topo --host --json
json "is read rightly" "
port, = d['devices']
assert port['kind'] == 'root-port' and port['acs'] == 'SV,RR,CR,UF', port
nic, = port['children']
assert nic['device'] == '0000:01:00.0' and nic['iommu'] == 'group 7, DMA-FQ', nic
assert nic['bars'] == '0: 32 MiB at 0xf0000000' and nic['dma_bits'] == '64', nic
assert d['unreadable'] == 0"
for d in "$tmp"/sys/bus/pci/devices/*; do truncate -s 64 "$d/config"; done
works "the same for one who may not read it all" env OLIO_SYSFS="$tmp/sys" "$OLIO" topo --host
says "says what could not be read" 'Not readable: capabilities of 2 of 2 devices'
plan
