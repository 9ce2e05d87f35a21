/* SPDX-License-Identifier: MIT */
/*
 * Short integer names, compiler attributes and checked arithmetic.
 *
 * Ranges are (start, len) at the borders, where programs give them, and are
 * checked here before anybody adds the two. Inside they are {start, last},
 * inclusive, so that the top of an address space can be named.
 */
#ifndef OLI_BASE_TYPES_H
#define OLI_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define OLI_MUST_CHECK __attribute__((warn_unused_result))
#define OLI_PRINTF(f, a) __attribute__((format(printf, f, a)))

#define OLI_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define OLI_PAGE_SHIFT 12
#define OLI_PAGE_SIZE (1ul << OLI_PAGE_SHIFT)

/* Smallest multiple of the power of two @align that is >= @n. @n + @align must not wrap. */
static inline u64 oli_align_up(u64 n, u64 align)
{
	return (n + align - 1) & ~(align - 1);
}

/* Smallest power of two >= @n; 1 for 0. @n <= 2^31. */
static inline u32 oli_roundup_pow2(u32 n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

static inline u32 oli_log2(u32 pow2)
{
	return (u32)__builtin_ctz(pow2);
}

/*
 * Is [@start, @start + @len) inside [@base, @base + @size)? Never wraps,
 * whatever the caller was handed. An empty range is inside when its start is
 * inside or at the end.
 */
static inline bool oli_range_inside(u64 start, u64 len, u64 base, u64 size)
{
	return start >= base && len <= size && start - base <= size - len;
}

#endif
