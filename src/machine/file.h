/* SPDX-License-Identifier: MIT */
/* The machine's directory and file: names, creation, checks. Inside machine/ only. */
#ifndef OLI_MACHINE_FILE_H
#define OLI_MACHINE_FILE_H

#include "machine/machine.h"

/* Give [@off, @off + @len) of the file real memory. Return: 0, -ENOSPC, -EFBIG, -errno. */
OLI_MUST_CHECK int oli_file_back(int fd, u64 off, u64 len);

/*
 * Resolve @name to the machine's directory (absolute, in @dir of 256 bytes) and
 * make the directories above it, mode 0700. They must belong to this user.
 */
OLI_MUST_CHECK int oli_dir_resolve(const char *name, char dir[256], bool create, char *why);

/* Make a directory of its own name among the machines of this user: for a private machine. */
OLI_MUST_CHECK int oli_dir_make_private(char dir[256], char *why);

/* Open the machine's directory; create it if asked. *@dirfd. */
OLI_MUST_CHECK int oli_dir_open(const char *dir, bool create, int *dirfd, char *why);

/* Open and check the file in @dirfd: *@fd, *@size. */
OLI_MUST_CHECK int oli_file_open(int dirfd, const char *dir, int *fd, u64 *size, char *why);
/*
 * Make it: a temporary file, filled as @desc (checked) says, then renamed into place.
 * @flags: OLI_MACHINE_F_*.
 */
OLI_MUST_CHECK int oli_file_create(int dirfd, const char *dir, const struct oli_desc *desc,
				   u32 flags, const struct oli_part *const *parts, char *why);
/* Remove the machine's files below @dirfd. */
void oli_dir_clear(int dirfd);
/* The same, and the directory @dir itself. */
void oli_dir_remove(int dirfd, const char *dir);

/* Map @fd into @m (base, shm, size, fd). */
OLI_MUST_CHECK int oli_file_map(struct oli_machine *m, int fd, u64 size, char *why);

u32 oli_shm_check(const struct oli_shm *shm);

#endif
