/* SPDX-License-Identifier: MIT */
/* The ring way: mailbox and agent. Inside mem/ only. */
#ifndef OLI_MEM_AGENT_H
#define OLI_MEM_AGENT_H

#include "mem/peer.h"

struct oli_agent; /* this process's own */

/* What slot->agent says. */
enum { OLI_AGENT_NONE, OLI_AGENT_WANTED, OLI_AGENT_RUNS };

/* Start our own agent if a peer wants it. Service thread only. */
void oli_agent_serve(struct oli_machine *m, struct oli_agent **agent);
void oli_agent_stop(struct oli_machine *m, struct oli_agent *agent);

/* Free the mailbox of a dead process. */
void oli_agent_reap(struct oli_machine *m, u16 slot);

/* Wait until the agent of (@slot, @gen) runs. Return: 0, -ESRCH, -ETIMEDOUT. */
OLI_MUST_CHECK int oli_agent_ask(struct oli_machine *m, u16 slot, u32 gen);

/* As oli_peer_move(), through the target's agent. */
OLI_MUST_CHECK int oli_ring_move(struct oli_machine *m, struct oli_move *mv);
/* As oli_peer_move() within this process, without process_vm_*. */
OLI_MUST_CHECK int oli_self_move(struct oli_machine *m, struct oli_move *mv);

#endif
