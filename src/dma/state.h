/* SPDX-License-Identifier: MIT */
/* A two-step state as link.c and unlink.c see it; what it tracks is said in link.c. */
#ifndef OLI_DMA_STATE_H
#define OLI_DMA_STATE_H

#include "dma/check.h"
#include "dma/place.h"

#define OLI_STATE_MAGIC 0x6f6c696f696f7661ull
#define OLI_STATE_ENDED 0x6f6c696f656e6465ull

struct oli_state {
	u64 self; /* its own address ^ OLI_STATE_MAGIC, or ^ OLI_STATE_ENDED; anything else: no state */
	struct olio_dev *dev;
	struct olio_iova start;
	u64 size;
	u64 linked, top;
	u32 opens;   /* of the device, when it was made */
	u32 bounced; /* a link was */
};
_Static_assert(sizeof(struct oli_state) <= sizeof(struct olio_iova_state), "a state fits");

static inline struct oli_state *oli_state_of(const struct olio_iova_state *s)
{
	return (struct oli_state *)(uintptr_t)s->priv;
}

static inline bool oli_is_state(const struct oli_state *s)
{
	return s->self == ((u64)(uintptr_t)s ^ OLI_STATE_MAGIC);
}

/* The refusals of the two that follow. */
OLI_MUST_CHECK int oli_state_bad(const struct oli_state *s, const void *site);
OLI_MUST_CHECK int oli_state_outside(const struct oli_state *s, u64 offset, u64 len);

/* Return: 0, or bad-state. @site: for the checker. */
OLI_MUST_CHECK static inline int oli_state_check(const struct oli_state *s, const void *site)
{
	bool ok = oli_is_state(s) && oli_dev_live(s->dev) && s->dev->opens == s->opens;

	return __builtin_expect(ok, 1) ? 0 : oli_state_bad(s, site);
}

/* Is [@offset, @offset + @len) inside, and not empty? Return: 0; bad-argument, beyond-end. */
OLI_MUST_CHECK static inline int oli_state_inside(const struct oli_state *s, u64 offset, u64 len)
{
	bool ok = len && oli_range_inside(offset, len, 0, s->size);

	return __builtin_expect(ok, 1) ? 0 : oli_state_outside(s, offset, len);
}

/* How far into its granule the byte at @offset lies. */
static inline u64 oli_state_off(const struct oli_state *s, u64 offset)
{
	return (s->start.v + offset) & s->dev->granule_mask;
}

static inline struct olio_iova oli_state_base(const struct oli_state *s)
{
	return (struct olio_iova){s->start.v & ~s->dev->granule_mask};
}

static inline u64 oli_state_span(const struct oli_state *s)
{
	return oli_span(s->dev, (struct olio_pa){s->start.v}, s->size);
}

#define OLI_NO_RUN ((struct olio_run){{0}, 0, 0, 0})
#define OLI_SITE __builtin_return_address(0)

/* Tell the checker, if there is one, about a call that begins at @offset_ of a state. */
#define OLI_STEP(s, step, run_, offset_, len_, dir_, attrs_, bounced_, err)                            \
	OLI_CHECK((s)->dev, oli_state_tell((s), step,                                                \
					 &(struct oli_op){.family = OLI_TWO_STEP,                  \
							  .dma = {(s)->start.v + (offset_)},       \
							  .len = len_,                             \
							  .run = run_,                              \
							  .dir = dir_,                             \
							  .attrs = attrs_,                         \
							  .bounced = bounced_,                     \
							  .object = (s),                           \
							  .site = OLI_SITE},                           \
					 err))

static inline void oli_state_tell(struct oli_state *s, enum oli_two_step step, const struct oli_op *op, int err)
{
	oli_check_step(s->dev, step, op, op->dma.v - s->start.v, err);
}

#endif
