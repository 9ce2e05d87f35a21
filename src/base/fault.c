// SPDX-License-Identifier: MIT
#include <signal.h>
#include <unistd.h>

#include "base/fault.h"

int oli_fault_countdown;
int oli_crash_countdown;

void oli_crash(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}
