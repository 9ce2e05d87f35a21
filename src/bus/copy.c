// SPDX-License-Identifier: MIT
/*
 * Moving the bytes of spans.
 *
 *   machine memory   mapped in every process: loads and stores, in whole aligned words of
 *                    8 bytes where the span has some, so that a CPU that polls a
 *                    word sees it whole, and one after the other
 *   process memory   by the kernel, for the program may unmap it at any time
 *   ciphertext       memory XOR a key stream: 8 bytes for each aligned 8 bytes of physical
 *                    address, mixed from the address and the machine's secret.
 *                    It models that the bytes are useless, not that they are safe
 *
 * The buffer is ours alone and of any alignment.
 */
#include <errno.h>
#include <string.h>

#include "bus/bus.h"

#define IOVECS 64
#define PIECE  2048 /* of ciphertext, on the stack */

/* ---- ciphertext ---- */

/* Every bit of the word depends on every bit of address and secret (two rounds of multiply and
 * fold). */
static u64 key_word(const struct oli_machine *m, u64 pa)
{
	u64 k = (pa >> 3) ^ ((u64)m->shm->key_mask << 32) ^ m->shm->created_ns;

	k = (k ^ (k >> 31)) * 0x9fb21c651e98df25ull;
	k = (k ^ (k >> 29)) * 0xd6e8feb86659fd93ull;
	return k ^ (k >> 32);
}

static void mix(const struct oli_machine *m, u64 pa, u8 *out, const u8 *in, u64 len)
{
	u64 key = 0;

	for (u64 i = 0; i < len; i++) {
		if (!i || !((pa + i) & 7))
			key = key_word(m, pa + i);
		out[i] = in[i] ^ (u8)(key >> ((pa + i) & 7) * 8);
	}
}

/* ---- machine memory ---- */

static void store_bytes(u8 *to, const u8 *from, u64 len)
{
	for (u64 i = 0; i < len; i++)
		__atomic_store_n(to + i, from[i], __ATOMIC_RELEASE);
}

static void load_bytes(u8 *to, const u8 *from, u64 len)
{
	for (u64 i = 0; i < len; i++)
		to[i] = __atomic_load_n(from + i, __ATOMIC_ACQUIRE);
}

/* Bytes before the first aligned word. */
static u64 head_of(const void *p, u64 len)
{
	u64 head = -(u64)(uintptr_t)p & 7;

	return head < len ? head : len;
}

static void store(u8 *to, const u8 *from, u64 len)
{
	u64 i = head_of(to, len), word;

	store_bytes(to, from, i);
	for (; len - i >= 8; i += 8) {
		memcpy(&word, from + i, 8);
		__atomic_store_n((u64 *)(to + i), word, __ATOMIC_RELEASE);
	}
	store_bytes(to + i, from + i, len - i);
}

static void load(u8 *to, const u8 *from, u64 len)
{
	u64 i = head_of(from, len), word;

	load_bytes(to, from, i);
	for (; len - i >= 8; i += 8) {
		word = __atomic_load_n((const u64 *)(from + i), __ATOMIC_ACQUIRE);
		memcpy(to + i, &word, 8);
	}
	load_bytes(to + i, from + i, len - i);
}

/* ---- process memory ---- */

static int move(struct oli_machine *m, u16 slot, u32 gen, struct iovec *remote, u32 n, u8 *buf,
		u64 len, bool write)
{
	struct iovec local = {buf, len};
	struct oli_move mv = {.slot = slot,
			      .gen = gen,
			      .to_remote = write,
			      .local = &local,
			      .remote = remote,
			      .nlocal = 1,
			      .nremote = n,
			      .len = len};

	/* Of ourselves it can be asked at any time. */
	if (slot == m->slot && gen == m->gen && oli_peer_way_known(m, slot, gen) == OLI_WAY_UNKNOWN)
		(void)oli_peer_way(m, slot, gen);
	return oli_peer_move(m, &mv);
}

/* Spans of one process that follow each other, as one call. *@n: in and out, how many; *@len:
 * bytes. */
static int copy_process(struct oli_machine *m, const struct oli_span *s, u32 *n, u8 *buf, u64 *len,
			bool write)
{
	struct iovec remote[IOVECS];
	u64 all = 0;
	u32 k = 0;

	while (k < *n && k < IOVECS && all < *len && s[k].slot == s->slot && s[k].gen == s->gen &&
	       !s[k].cipher) {
		u64 part = s[k].len < *len - all ? s[k].len : *len - all;

		remote[k] = (struct iovec){(void *)(uintptr_t)s[k].addr, part};
		all += part;
		k++;
	}
	*n = k;
	*len = all;
	return move(m, s->slot, s->gen, remote, k, buf, all, write);
}

/* [@addr, @addr + @len) where @s is, as it is in memory. */
static int copy_plain(struct oli_machine *m, const struct oli_span *s, u64 addr, u8 *buf, u64 len,
		      bool write)
{
	struct iovec remote = {(void *)(uintptr_t)addr, len};

	if (s->slot != OLI_SLOT_NONE)
		return move(m, s->slot, s->gen, &remote, 1, buf, len, write);
	if (write)
		store((u8 *)(uintptr_t)addr, buf, len);
	else
		load(buf, (const u8 *)(uintptr_t)addr, len);
	return 0;
}

static int copy_cipher(struct oli_machine *m, const struct oli_span *s, u8 *buf, u64 len,
		       bool write)
{
	u8 noise[PIECE];
	int err = 0;

	for (u64 at = 0; at < len && !err; at += PIECE) {
		u64 part = len - at < PIECE ? len - at : PIECE;

		if (write)
			mix(m, s->pa + at, noise, buf + at, part);
		err = copy_plain(m, s, s->addr + at, noise, part, write);
		if (!err && !write)
			mix(m, s->pa + at, buf + at, noise, part);
	}
	return err;
}

int oli_span_copy(struct oli_machine *m, const struct oli_span *spans, u32 n, void *buf, u64 len,
		  bool write)
{
	u8 *at = buf;
	int err = 0;

	for (u32 i = 0; i < n && len && !err;) {
		const struct oli_span *s = &spans[i];
		u64 part = s->len < len ? s->len : len;
		u32 used = 1;

		if (s->cipher) {
			err = copy_cipher(m, s, at, part, write);
		} else if (s->slot == OLI_SLOT_NONE) {
			err = copy_plain(m, s, s->addr, at, part, write);
		} else {
			used = n - i;
			part = len;
			err = copy_process(m, s, &used, at, &part, write);
		}
		at += part;
		len -= part;
		i += used;
	}
	return err ? err : len ? -EINVAL : 0;
}
