/* SPDX-License-Identifier: MIT */
/*
 * The functions that the hooks stand in front of.
 *
 * Each is looked up at its first call, behind this library in the program's
 * order of symbols, so that other interposers keep working. A function that
 * libc does not have answers -1 (or NULL) and ENOSYS.
 */
#ifndef OLI_PRELOAD_REAL_H
#define OLI_PRELOAD_REAL_H

#include "base/types.h"

/* name, what it returns (int, ptr or none) when it does not exist */
#define OLI_REAL_LIST(X)                                                                           \
	X(open, int)                                                                               \
	X(openat, int)                                                                             \
	X(stat, int)                                                                               \
	X(lstat, int)                                                                              \
	X(fstat, int)                                                                              \
	X(fstatat, int)                                                                            \
	X(statx, int)                                                                              \
	X(access, int)                                                                             \
	X(faccessat, int)                                                                          \
	X(euidaccess, int)                                                                         \
	X(readlink, int)                                                                           \
	X(readlinkat, int)                                                                         \
	X(realpath, ptr)                                                                           \
	X(getxattr, int)                                                                           \
	X(lgetxattr, int)                                                                          \
	X(listxattr, int)                                                                          \
	X(llistxattr, int)                                                                         \
	X(opendir, ptr)                                                                            \
	X(scandir, int)                                                                            \
	X(glob, int)                                                                               \
	X(fopen, ptr)                                                                              \
	X(freopen, ptr)                                                                            \
	X(fclose, int)                                                                             \
	X(ioctl, int)                                                                              \
	X(pthread_setcanceltype, int)                                                              \
	X(write, int)                                                                              \
	X(writev, int)                                                                             \
	X(pwrite, int)                                                                             \
	X(pwritev, int)                                                                            \
	X(close, int)                                                                              \
	X(dup, int)                                                                                \
	X(dup2, int)                                                                               \
	X(dup3, int)                                                                               \
	X(fcntl, int)                                                                              \
	X(close_range, int)                                                                        \
	X(closefrom, int)                                                                          \
	X(socket, int)                                                                             \
	X(bind, int)                                                                               \
	X(connect, int)                                                                            \
	X(getsockname, int)                                                                        \
	X(getsockopt, int)                                                                         \
	X(setsockopt, int)                                                                         \
	X(send, int)                                                                               \
	X(sendto, int)                                                                             \
	X(sendmsg, int)                                                                            \
	X(recvfrom, int)                                                                           \
	X(recvmsg, int)                                                                            \
	X(execve, int)                                                                             \
	X(execvpe, int)                                                                            \
	X(fexecve, int)                                                                            \
	X(execveat, int)

enum oli_real_id {
#define OLI_REAL_ENUM(name, ret) OLI_REAL_##name,
	OLI_REAL_LIST(OLI_REAL_ENUM)
#undef OLI_REAL_ENUM
	OLI_REAL_COUNT,
};

extern void *oli_real_table[OLI_REAL_COUNT];

void *oli_real_resolve(enum oli_real_id id);

static inline void *oli_real(enum oli_real_id id)
{
	void *fn = __atomic_load_n(&oli_real_table[id], __ATOMIC_RELAXED);

	return __builtin_expect(fn != NULL, 1) ? fn : oli_real_resolve(id);
}

#define REAL(name) ((__typeof__(&name))oli_real(OLI_REAL_##name))

#endif
