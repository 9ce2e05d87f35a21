// SPDX-License-Identifier: MIT
/*
 * The version of the library: that of the project, from the build.
 */
#include <olio/olio.h>

const char *olio_version(void)
{
	return OLIO_VERSION;
}
