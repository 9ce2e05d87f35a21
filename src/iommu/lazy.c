// SPDX-License-Identifier: MIT
/*
 * Deferred flushes (S5).
 *
 * A lazy release takes its entries out of the tables and keeps its IOVAs claimed. One
 * flush then serves all that wait: when there are OLI_LAZY_MOST of them, or when the
 * first has waited for the period, which the service thread sees to. That thread
 * is woken once; then it comes back every period until one goes by without a
 * release. Under a clock that is driven by hand each release looks at the time,
 * too, for then looking is cheap.
 */
#include "iommu/part.h"

void oli_lazy_flush(struct oli_domain *d)
{
	d->hw->ops->flush(d->hw);
	d->stats.flushes++;
	while (d->lazy.nr)
		oli_iova_give(&d->iova, &d->lazy.wait[--d->lazy.nr]);
}

static bool due(const struct oli_domain *d)
{
	return d->lazy.nr && oli_machine_now(d->m) - d->lazy.first_ns >= d->lazy.period_ns;
}

static bool clock_stands(const struct oli_machine *m)
{
	return atomic_load_explicit(&m->shm->frozen_ns, memory_order_relaxed) != 0;
}

void oli_lazy_add(struct oli_domain *d, const struct oli_iova_claim *claim)
{
	if (!d->lazy.nr)
		d->lazy.first_ns = oli_machine_now(d->m);
	d->lazy.wait[d->lazy.nr++] = *claim;
	d->lazy.idle = false;
	if (d->lazy.nr == OLI_LAZY_MOST || (clock_stands(d->m) && due(d))) {
		oli_lazy_flush(d);
	} else if (!d->lazy.armed) {
		d->lazy.armed = true;
		oli_service_kick(d->m);
	}
}

/* The lock is held. */
static u64 look_after(struct oli_domain *d)
{
	struct oli_lazy *l = &d->lazy;

	if (due(d))
		oli_lazy_flush(d);
	if (clock_stands(d->m)) {
		/* Whoever moves the clock wakes this thread. */
		l->armed = l->nr != 0;
		return 0;
	}
	if (l->nr)
		return l->first_ns + l->period_ns;
	l->armed = !l->idle;
	l->idle = true;
	return l->armed ? oli_machine_now(d->m) + l->period_ns : 0;
}

u64 oli_lazy_tick(struct oli_domain *d)
{
	u64 at = 0;

	if (!d->hw->lazy)
		return 0;
	oli_bias_lock(&d->lock);
	if (d->lazy.armed)
		at = look_after(d);
	oli_bias_unlock(&d->lock);
	return at;
}
