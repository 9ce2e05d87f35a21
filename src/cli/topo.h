/* SPDX-License-Identifier: MIT */
/* What the two halves of `olio topo` share: the built machine's tree, and the host's. */
#ifndef OLIO_CLI_TOPO_H
#define OLIO_CLI_TOPO_H

#include "cli.h"

/* "16 MiB"; exact if it is a multiple. */
const char *size_text(uint64_t bytes, char out[32]);

/* The PCI tree of the machine that this runs on. Return: enum cli_status. */
int topo_host(bool json);

#endif
