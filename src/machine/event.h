/* SPDX-License-Identifier: MIT */
/* Event pipes: what only machine/ calls. The rest is in machine.h. */
#ifndef OLI_MACHINE_EVENT_H
#define OLI_MACHINE_EVENT_H

#include "machine/machine.h"

OLI_MUST_CHECK int oli_events_init(struct oli_machine *m);
void oli_events_fini(struct oli_machine *m);
void oli_events_forget(struct oli_machine *m);
/* Remove the pipes of @slot. */
void oli_event_reap(struct oli_machine *m, u16 slot);
/* Our own end of a pipe that we made, for poll(). */
int oli_event_own_fd(struct oli_machine *m, u32 id, u32 gen);
/* As oli_event_create() without a read end for the program. */
OLI_MUST_CHECK int oli_event_create_inner(struct oli_machine *m, u32 id, u32 gen);

#endif
