/* SPDX-License-Identifier: MIT */
/* Slots: taking, giving back, telling the living from the dead. Inside machine/ only. */
#ifndef OLI_MACHINE_SLOT_H
#define OLI_MACHINE_SLOT_H

#include "machine/machine.h"

/* Take a slot, state TAKEN, and lock its byte. Return: 0, -ENOSPC, -errno. */
OLI_MUST_CHECK int oli_slot_take(struct oli_machine *m, bool observer);
void oli_slot_publish(struct oli_machine *m);
void oli_slot_give(struct oli_machine *m);
/* Free what this process owns, as the reaper would. */
void oli_slot_reap_own(struct oli_machine *m);
bool oli_slots_any_alive(struct oli_machine *m);

#endif
