/* SPDX-License-Identifier: MIT */
/* qlab - see qlab.h.  Register facts: VT-d and AMD IOMMU specifications. */
#include "qlab.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB		(1ull << 20)
#define GIB		(1ull << 30)

/* The chip set places these. */
#define Q35_SPLIT	0xb0000000ull	/* RAM from here on is split */
#define Q35_LOW		0x80000000ull	/* ... at this address */
#define VTD_BASE	0xfed90000ull
#define AMD_BASE	0xfed80000ull
#define EDU_BAR		0xe0000000ull	/* free in both layouts */

/* The harness' own pages. */
#define OWN_ROOT	(QLAB_OWN_BASE + 0x00000)	/* VT-d root table */
#define OWN_CTX		(QLAB_OWN_BASE + 0x01000)	/* two pages: scalable */
#define OWN_PDIR	(QLAB_OWN_BASE + 0x03000)	/* PASID directory */
#define OWN_PTAB	(QLAB_OWN_BASE + 0x04000)	/* PASID table */
#define OWN_QUEUE	(QLAB_OWN_BASE + 0x05000)	/* 256 descriptors */
#define OWN_STATUS	(QLAB_OWN_BASE + 0x06000)	/* completion words */
#define OWN_BOUNCE	(QLAB_OWN_BASE + 0x07000)	/* device buffer access */
#define OWN_DEVTAB	(QLAB_OWN_BASE + 0x10000)	/* AMD: 256 * 32 bytes */
#define OWN_CMDBUF	(QLAB_OWN_BASE + 0x12000)	/* AMD: 256 * 16 bytes */
#define OWN_EVTLOG	(QLAB_OWN_BASE + 0x13000)	/* AMD: 256 * 16 bytes */

/* VT-d registers and bits. */
enum {
	V_CAP = 0x08, V_ECAP = 0x10, V_GCMD = 0x18, V_GSTS = 0x1c,
	V_RTADDR = 0x20, V_CCMD = 0x28, V_FSTS = 0x34,
	V_IQT = 0x88, V_IQA = 0x90,
};
#define GCMD_TE		(1u << 31)
#define GCMD_SRTP	(1u << 30)
#define GCMD_QIE	(1u << 26)

/* AMD registers and bits. */
enum {
	A_DEVTAB = 0x00, A_CMDBUF = 0x08, A_EVTLOG = 0x10, A_CONTROL = 0x18,
	A_EFR = 0x30, A_CMDTAIL = 0x2008, A_EVTHEAD = 0x2010,
	A_EVTTAIL = 0x2018, A_STATUS = 0x2020,
};

#define BATCH		48	/* commands in flight: replies must fit the socket */

struct qlab {
	enum qlab_iommu iommu;
	pid_t pid;
	int sock;
	uint8_t *ram;
	uint64_t ram_bytes, low_end;

	char out[16384];
	size_t outlen;
	char in[16384];
	size_t inlen, inpos;
	struct { uint64_t *to; } want[BATCH];
	unsigned nwant;

	int stepping;			/* has the qtest accelerator */
	int pending;			/* a DMA was started, not awaited */
	uint16_t sid;			/* of edu */
	uint64_t edu[3];		/* src, dst, cnt as last written */
	uint64_t win_iova, win_gpa;

	/* VT-d */
	uint64_t cap, ecap, root, rtflags;
	unsigned iro, fro, nfr;
	uint32_t gcmd;
	int qi;
	unsigned qtail, qshift;
	uint32_t qseq;

	/* AMD */
	uint64_t efr;
	unsigned amd_bdf, cmdtail;
	uint32_t cmdseq, evthead;

	uint64_t saved[4];		/* entry swapped out for the bypass */
	struct qlab_stats st;
};

static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("qlab: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(99);
}

/* ---- the wire --------------------------------------------------------- */

static void reply_line(struct qlab *q, char *line, size_t max)
{
	size_t n = 0;

	for (;;) {
		if (q->inpos == q->inlen) {
			ssize_t r = read(q->sock, q->in, sizeof(q->in));

			if (r < 0 && errno == EINTR)
				continue;
			if (r <= 0)
				die("QEMU has gone (see its log)");
			q->inlen = (size_t)r;
			q->inpos = 0;
		}
		char c = q->in[q->inpos++];

		if (c == '\n')
			break;
		if (n + 1 < max)
			line[n++] = c;
	}
	line[n] = 0;
}

static void flush(struct qlab *q)
{
	size_t sent = 0;
	char line[256];

	if (!q->nwant)
		return;
	while (sent < q->outlen) {
		ssize_t w = send(q->sock, q->out + sent, q->outlen - sent,
				 MSG_NOSIGNAL);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			die("QEMU has gone (see its log)");
		sent += (size_t)w;
	}
	for (unsigned i = 0; i < q->nwant; i++) {
		do
			reply_line(q, line, sizeof(line));
		while (!strncmp(line, "IRQ ", 4));
		if (strncmp(line, "OK", 2))
			die("qtest says: %s", line);
		if (q->want[i].to)
			*q->want[i].to = strtoull(line + 2, NULL, 0);
	}
	q->st.round_trips++;
	q->st.commands += q->nwant;
	q->nwant = 0;
	q->outlen = 0;
}

/*
 * Without the qtest accelerator edu's timer fires in QEMU's main loop after
 * the commands that came in one piece, so a started DMA ends a batch and the
 * next round trip asks whether it is over.
 */
void qlab_flush(struct qlab *q)
{
	flush(q);
	while (q->pending) {
		uint64_t cmd = 0;

		q->pending = 0;
		qlab_q_read(q, EDU_BAR + 0x98, 8, &cmd);
		flush(q);
		q->pending = cmd & 1;
	}
}

static void queue(struct qlab *q, uint64_t *to, const char *fmt, ...)
{
	va_list ap;

	if (q->nwant == BATCH || q->pending)
		qlab_flush(q);
	va_start(ap, fmt);
	q->outlen += (size_t)vsnprintf(q->out + q->outlen,
				       sizeof(q->out) - q->outlen, fmt, ap);
	va_end(ap);
	q->want[q->nwant++].to = to;
}

static char suffix(unsigned size)
{
	return size == 1 ? 'b' : size == 2 ? 'w' : size == 4 ? 'l' : 'q';
}

void qlab_q_read(struct qlab *q, uint64_t addr, unsigned size, uint64_t *out)
{
	queue(q, out, "read%c 0x%" PRIx64 "\n", suffix(size), addr);
}

void qlab_q_write(struct qlab *q, uint64_t addr, unsigned size, uint64_t val)
{
	queue(q, NULL, "write%c 0x%" PRIx64 " 0x%" PRIx64 "\n", suffix(size),
	      addr, val);
}

void qlab_q_clock_step(struct qlab *q, uint64_t ns)
{
	queue(q, NULL, "clock_step %" PRIu64 "\n", ns);
}

uint64_t qlab_read(struct qlab *q, uint64_t addr, unsigned size)
{
	uint64_t v = 0;

	qlab_q_read(q, addr, size, &v);
	qlab_flush(q);
	return v;
}

void qlab_write(struct qlab *q, uint64_t addr, unsigned size, uint64_t val)
{
	qlab_q_write(q, addr, size, val);
	qlab_flush(q);
}

void qlab_clock_step(struct qlab *q, uint64_t ns)
{
	qlab_q_clock_step(q, ns);
	qlab_flush(q);
}

uint32_t qlab_inl(struct qlab *q, uint16_t port)
{
	uint64_t v = 0;

	queue(q, &v, "inl 0x%x\n", port);
	qlab_flush(q);
	return (uint32_t)v;
}

void qlab_outl(struct qlab *q, uint16_t port, uint32_t val)
{
	queue(q, NULL, "outl 0x%x 0x%x\n", port, val);
	qlab_flush(q);
}

static void cfg_addr(struct qlab *q, unsigned bdf, unsigned reg)
{
	queue(q, NULL, "outl 0xcf8 0x%x\n",
	      0x80000000u | bdf << 8 | (reg & 0xfc));
}

uint32_t qlab_cfg_read(struct qlab *q, unsigned bdf, unsigned reg)
{
	cfg_addr(q, bdf, reg);
	return qlab_inl(q, 0xcfc);
}

void qlab_cfg_write(struct qlab *q, unsigned bdf, unsigned reg, uint32_t val)
{
	cfg_addr(q, bdf, reg);
	qlab_outl(q, 0xcfc, val);
}

/* ---- RAM --------------------------------------------------------------- */

uint64_t qlab_ram_size(const struct qlab *q)
{
	return q->ram_bytes;
}

uint64_t qlab_low_end(const struct qlab *q)
{
	return q->low_end;
}

void *qlab_ram(struct qlab *q)
{
	return q->ram;
}

void *qlab_ptr(struct qlab *q, uint64_t gpa, uint64_t len)
{
	uint64_t high = q->ram_bytes - q->low_end;

	if (gpa < q->low_end)
		return len <= q->low_end - gpa ? q->ram + gpa : NULL;
	if (gpa >= 4 * GIB && gpa - 4 * GIB < high &&
	    len <= high - (gpa - 4 * GIB))
		return q->ram + q->low_end + (gpa - 4 * GIB);
	return NULL;
}

static uint64_t *words(struct qlab *q, uint64_t gpa)
{
	uint64_t *p = qlab_ptr(q, gpa, 8);

	if (!p)
		die("0x%" PRIx64 " is not RAM", gpa);
	return p;
}

/* ---- start and stop ---------------------------------------------------- */

static const char *qemu_bin(const struct qlab_cfg *c)
{
	const char *bin = c->qemu ? c->qemu : getenv("QLAB_QEMU");

	return bin ? bin : "qemu-system-x86_64";
}

/*
 * Debian builds QEMU without the qtest accelerator; the qtest protocol is
 * there all the same.  Then: TCG, one CPU in a halting "firmware", and icount
 * with sleep=off, under which time jumps to the next timer as the CPU idles.
 */
static int has_qtest_accel(const char *bin)
{
	char cmd[512], line[64];
	int found = 0;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "'%s' -accel help 2>/dev/null", bin);
	if (!(p = popen(cmd, "r")))
		return 0;
	while (fgets(line, sizeof(line), p))
		found |= !strcmp(line, "qtest\n");
	pclose(p);
	return found;
}

/* 64 KiB that end in the reset vector: cli; hlt; jmp back to the hlt. */
static int halting_firmware(void)
{
	static const uint8_t code[] = { 0xfa, 0xf4, 0xeb, 0xfd };
	int fd = memfd_create("qlab-fw", 0);

	if (fd < 0 || ftruncate(fd, 65536) ||
	    pwrite(fd, code, sizeof(code), 65536 - 16) != sizeof(code))
		die("firmware: %s", strerror(errno));
	return fd;
}

static void run_qemu(const struct qlab_cfg *c, struct qlab *q, int memfd, int fd)
{
	const char *argv[64];
	char mem[160], chr[64], edu[96], dev[256], size[32], fw[64];
	const char *bin = qemu_bin(c), *dir = c->datadir;
	int n = 0, log;

	if (!dir)
		dir = getenv("QLAB_DATADIR");

	snprintf(mem, sizeof(mem), "memory-backend-file,id=ram,share=on,"
		 "mem-path=/proc/self/fd/%d,size=%" PRIu64, memfd, q->ram_bytes);
	snprintf(chr, sizeof(chr), "socket,id=qtest,fd=%d", fd);
	snprintf(edu, sizeof(edu), "edu,addr=%x.0,dma_mask=0xffffffffffffffff",
		 q->sid >> 3);
	/* amd-iommu of QEMU 9.2 and on: with pt=on (the default) it does not
	 * translate DMA at all. */
	snprintf(dev, sizeof(dev), "%s%s%s",
		 c->iommu == QLAB_AMD ? "amd-iommu,pt=off" : "intel-iommu",
		 c->iommu_props ? "," : "", c->iommu_props ? c->iommu_props : "");
	snprintf(size, sizeof(size), "%" PRIu64 "M", (uint64_t)(q->ram_bytes / MIB));

	argv[n++] = bin;
	if (q->stepping) {
		argv[n++] = "-accel";	argv[n++] = "qtest";
	} else {
		argv[n++] = "-accel";	argv[n++] = "tcg,tb-size=1";
		argv[n++] = "-icount";	argv[n++] = "shift=0,sleep=off";
	}
	snprintf(fw, sizeof(fw), "/proc/self/fd/%d", halting_firmware());
	argv[n++] = "-bios";		argv[n++] = fw;
	argv[n++] = "-machine";
	argv[n++] = "q35,memory-backend=ram,kernel-irqchip=off,pit=off,hpet=off";
	argv[n++] = "-m";		argv[n++] = size;
	argv[n++] = "-object";		argv[n++] = mem;
	argv[n++] = "-nodefaults";
	argv[n++] = "-no-user-config";
	argv[n++] = "-display";		argv[n++] = "none";
	argv[n++] = "-chardev";		argv[n++] = chr;
	argv[n++] = "-qtest";		argv[n++] = "chardev:qtest";
	argv[n++] = "-qtest-log";	argv[n++] = "none";
	if (dir) {
		argv[n++] = "-L";	argv[n++] = dir;
	}
	if (c->iommu != QLAB_NO_IOMMU) {
		argv[n++] = "-device";	argv[n++] = dev;
	}
	argv[n++] = "-device";		argv[n++] = edu;
	if (c->trace) {
		argv[n++] = "-trace";	argv[n++] = c->trace;
	}
	argv[n] = NULL;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log = open(c->log ? c->log : "/dev/null",
		   O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (log >= 0) {
		dup2(log, 1);
		dup2(log, 2);
	}
	execvp(bin, (char **)argv);
	dprintf(2, "qlab: cannot run %s: %s\n", bin, strerror(errno));
	_exit(127);
}

static void edu_setup(struct qlab *q)
{
	uint32_t id = qlab_cfg_read(q, q->sid, 0);

	if (id != 0x11e81234)
		die("no edu device at %04x: %08x", q->sid, id);
	qlab_cfg_write(q, q->sid, 0x10, (uint32_t)EDU_BAR);
	qlab_cfg_write(q, q->sid, 0x04, 0x0006);	/* memory, bus master */
	if ((qlab_read(q, EDU_BAR, 4) & 0xff) != 0xed)
		die("edu's BAR 0 does not answer");
	q->edu[0] = q->edu[1] = q->edu[2] = ~0ull;
}

static void amd_setup(struct qlab *q)
{
	for (unsigned bdf = 0; bdf < 256 && !q->amd_bdf; bdf++)
		if (qlab_cfg_read(q, bdf, 8) >> 16 == 0x0806)
			q->amd_bdf = bdf;
	if (!q->amd_bdf)
		die("no AMD IOMMU function on bus 0");
	q->efr = qlab_read(q, AMD_BASE + A_EFR, 8);
	memset(words(q, OWN_DEVTAB), 0, 0x2000);
	/* Sizes: device table in pages - 1; rings as log2(entries). */
	qlab_write(q, AMD_BASE + A_DEVTAB, 8, OWN_DEVTAB | 1);
	qlab_write(q, AMD_BASE + A_CMDBUF, 8, OWN_CMDBUF | 8ull << 56);
	qlab_write(q, AMD_BASE + A_EVTLOG, 8, OWN_EVTLOG | 8ull << 56);
}

struct qlab *qlab_start(const struct qlab_cfg *c)
{
	struct qlab *q = calloc(1, sizeof(*q));
	int memfd, sv[2];

	if (!q)
		die("out of memory");
	q->iommu = c->iommu;
	q->ram_bytes = c->ram_bytes ? c->ram_bytes : GIB;
	if (q->ram_bytes % (2 * MIB) || q->ram_bytes < QLAB_OWN_END)
		die("RAM: a multiple of 2 MiB, at least 32 MiB");
	q->low_end = q->ram_bytes >= Q35_SPLIT ? Q35_LOW : q->ram_bytes;
	q->sid = (uint16_t)((c->edu_slot ? c->edu_slot : 4) << 3);

	memfd = memfd_create("qlab-ram", 0);
	if (memfd < 0 || ftruncate(memfd, (off_t)q->ram_bytes))
		die("memfd: %s", strerror(errno));
	q->ram = mmap(NULL, q->ram_bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_NORESERVE, memfd, 0);
	if (q->ram == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		die("socketpair: %s", strerror(errno));
	fcntl(sv[0], F_SETFD, FD_CLOEXEC);

	q->stepping = has_qtest_accel(qemu_bin(c));
	q->pid = fork();
	if (q->pid < 0)
		die("fork: %s", strerror(errno));
	if (!q->pid)
		run_qemu(c, q, memfd, sv[1]);
	close(sv[1]);
	close(memfd);
	q->sock = sv[0];

	edu_setup(q);
	if (q->iommu == QLAB_VTD) {
		q->cap = qlab_read(q, VTD_BASE + V_CAP, 8);
		q->ecap = qlab_read(q, VTD_BASE + V_ECAP, 8);
		q->fro = ((q->cap >> 24) & 0x3ff) * 16;
		q->nfr = ((q->cap >> 40) & 0xff) + 1;
		q->iro = ((q->ecap >> 8) & 0x3ff) * 16;
	} else if (q->iommu == QLAB_AMD) {
		amd_setup(q);
	}
	return q;
}

void qlab_stop(struct qlab *q)
{
	if (!q)
		return;
	kill(q->pid, SIGKILL);
	waitpid(q->pid, NULL, 0);
	close(q->sock);
	munmap(q->ram, q->ram_bytes);
	free(q);
}

struct qlab_stats qlab_stats(const struct qlab *q)
{
	return q->st;
}

uint16_t qlab_edu_sid(const struct qlab *q)
{
	return q->sid;
}

/* ---- VT-d -------------------------------------------------------------- */

uint64_t qlab_vtd_cap(const struct qlab *q)
{
	return q->cap;
}

uint64_t qlab_vtd_ecap(const struct qlab *q)
{
	return q->ecap;
}

static void gcmd(struct qlab *q, uint32_t bit, int on, uint32_t once)
{
	uint32_t want = once ? once : bit;
	uint32_t sts;

	q->gcmd = on ? q->gcmd | bit : q->gcmd & ~bit;
	qlab_write(q, VTD_BASE + V_GCMD, 4, q->gcmd | once);
	sts = (uint32_t)qlab_read(q, VTD_BASE + V_GSTS, 4);
	if (!(sts & want) == (once || on))
		die("GCMD %08x not taken: GSTS %08x", q->gcmd | once, sts);
}

void qlab_vtd_te(struct qlab *q, int on)
{
	gcmd(q, GCMD_TE, on, 0);
}

void qlab_vtd_qi(struct qlab *q)
{
	if (q->qi)
		return;
	/* 256 16-byte descriptors, or 128 of 32 bytes in scalable mode. */
	q->qshift = q->rtflags & 0x400 ? 5 : 4;
	qlab_write(q, VTD_BASE + V_IQT, 8, 0);
	qlab_write(q, VTD_BASE + V_IQA, 8,
		   OWN_QUEUE | (q->qshift == 5 ? 1u << 11 : 0));
	q->qtail = 0;
	gcmd(q, GCMD_QIE, 1, 0);
	q->qi = 1;
}

static void qi_put(struct qlab *q, uint64_t lo, uint64_t hi)
{
	uint64_t *d = words(q, OWN_QUEUE + q->qtail);

	d[0] = lo;
	d[1] = hi;
	if (q->qshift == 5)
		d[2] = d[3] = 0;
	q->qtail = (q->qtail + (1u << q->qshift)) & 0xfff;
}

void qlab_vtd_qi_submit(struct qlab *q, uint64_t lo, uint64_t hi)
{
	volatile uint32_t *done = (volatile uint32_t *)words(q, OWN_STATUS);

	if (!q->qi)
		die("qlab_vtd_qi() first");
	qi_put(q, lo, hi);
	q->qseq++;
	qi_put(q, 5 | 1u << 5 | (uint64_t)q->qseq << 32, OWN_STATUS);
	qlab_write(q, VTD_BASE + V_IQT, 8, q->qtail);
	if (*done != q->qseq)
		die("invalidation %016" PRIx64 " %016" PRIx64
		    " not completed, FSTS %08" PRIx64, hi, lo,
		    qlab_read(q, VTD_BASE + V_FSTS, 4));
}

static void ccmd(struct qlab *q, uint64_t v)
{
	qlab_write(q, VTD_BASE + V_CCMD, 8, v | 1ull << 63);
}

void qlab_vtd_inv_context(struct qlab *q)
{
	if (q->qi)
		qlab_vtd_qi_submit(q, 1 | 1u << 4, 0);
	else
		ccmd(q, 1ull << 61);
}

void qlab_vtd_inv_device(struct qlab *q, uint16_t sid, uint16_t did)
{
	if (q->qi)
		qlab_vtd_qi_submit(q, 1 | 3u << 4 | (uint64_t)did << 16 |
				   (uint64_t)sid << 32, 0);
	else
		ccmd(q, 3ull << 61 | (uint64_t)sid << 16 | did);
}

static void iotlb(struct qlab *q, uint64_t gran, uint16_t did, uint64_t iova,
		  unsigned am)
{
	if (q->qi) {
		qlab_vtd_qi_submit(q, 2 | gran << 4 | (uint64_t)did << 16,
				   gran == 3 ? iova | am : 0);
		return;
	}
	if (gran == 3)
		qlab_q_write(q, VTD_BASE + q->iro, 8, iova | am);
	qlab_write(q, VTD_BASE + q->iro + 8, 8,
		   1ull << 63 | gran << 60 | (uint64_t)did << 32);
}

void qlab_vtd_inv_all(struct qlab *q)
{
	iotlb(q, 1, 0, 0, 0);
}

void qlab_vtd_inv_domain(struct qlab *q, uint16_t did)
{
	iotlb(q, 2, did, 0, 0);
}

void qlab_vtd_inv_pages(struct qlab *q, uint16_t did, uint64_t iova, unsigned am)
{
	iotlb(q, 3, did, iova & ~0xfffull, am);
}

void qlab_vtd_inv_piotlb(struct qlab *q, uint16_t did, uint32_t pasid,
			 uint64_t iova, unsigned am)
{
	int all = iova == ~0ull;

	qlab_vtd_qi_submit(q, 6 | (all ? 2u : 3u) << 4 | (uint64_t)did << 16 |
			   (uint64_t)pasid << 32,
			   all ? 0 : (iova & ~0xfffull) | am);
}

void qlab_vtd_root(struct qlab *q, uint64_t root_gpa, uint64_t flags)
{
	q->root = root_gpa;
	q->rtflags = flags;
	qlab_write(q, VTD_BASE + V_RTADDR, 8, root_gpa | flags);
	gcmd(q, 0, 1, GCMD_SRTP);
	qlab_vtd_inv_context(q);
	qlab_vtd_inv_all(q);
}

void qlab_vtd_legacy(struct qlab *q, uint64_t pgd_gpa, int levels, uint16_t did)
{
	uint64_t *root = words(q, OWN_ROOT), *ctx = words(q, OWN_CTX);

	memset(root, 0, 4096);
	memset(ctx, 0, 4096);
	root[0] = OWN_CTX | 1;
	ctx[2 * q->sid] = pgd_gpa | 1;
	ctx[2 * q->sid + 1] = (uint64_t)(levels - 2) | (uint64_t)did << 8;
	qlab_vtd_root(q, OWN_ROOT, 0);
	qlab_vtd_te(q, 1);
}

void qlab_vtd_scalable(struct qlab *q, int stage, uint64_t pgd_gpa, int levels,
		       uint16_t did)
{
	uint64_t *root = words(q, OWN_ROOT), *ctx = words(q, OWN_CTX);
	uint64_t *pe = words(q, OWN_PTAB);

	memset(root, 0, 4096);
	memset(ctx, 0, 8192);
	memset(words(q, OWN_PDIR), 0, 4096);
	memset(pe, 0, 4096);
	root[0] = OWN_CTX | 1;			/* devices 0-15 */
	root[1] = (OWN_CTX + 0x1000) | 1;	/* devices 16-31 */
	ctx[4 * q->sid] = OWN_PDIR | 1;		/* RID_PASID 0 */
	*words(q, OWN_PDIR) = OWN_PTAB | 1;
	if (stage == 1) {
		/* AW means nothing to a first stage, but QEMU limits by it. */
		pe[0] = 1 | 1u << 6 | 2u << 2;
		pe[2] = pgd_gpa | (uint64_t)(levels - 4) << 2;
	} else {
		pe[0] = pgd_gpa | 1 | 2u << 6 | (uint64_t)(levels - 2) << 2;
	}
	pe[1] = did;
	qlab_vtd_root(q, OWN_ROOT, 0x400);
	qlab_vtd_te(q, 1);
}

static int vtd_fault(struct qlab *q, struct qlab_fault *f)
{
	uint64_t rec = VTD_BASE + q->fro;
	uint64_t fsts, lo, hi, cmd = 0;
	int pending = q->pending;

	/* A DMA just started: ask whether it is over in the same round trip. */
	q->pending = 0;
	flush(q);
	do {
		if (pending)
			qlab_q_read(q, EDU_BAR + 0x98, 8, &cmd);
		qlab_q_read(q, VTD_BASE + V_FSTS, 4, &fsts);
		qlab_q_read(q, rec, 8, &lo);
		qlab_q_read(q, rec + 8, 8, &hi);
		flush(q);
	} while (cmd & 1);

	memset(f, 0, sizeof(*f));
	f->seen = hi >> 63;
	f->overflow = fsts & 1;
	if (!f->seen && !(fsts & 0x13))
		return 0;
	for (unsigned i = 0; i < q->nfr; i++)
		qlab_q_write(q, rec + 16 * i + 12, 4, 1u << 31);
	qlab_q_write(q, VTD_BASE + V_FSTS, 4, 0x11);	/* PFO, IQE */
	flush(q);
	if (!f->seen)
		return 0;
	f->is_write = !(hi >> 62 & 1);
	f->reason = (uint8_t)(hi >> 32);
	f->sid = (uint16_t)hi;
	f->addr = lo & ~0xfffull;
	f->has_pasid = hi >> 31 & 1;
	f->pasid = (uint32_t)(hi >> 40) & 0xfffff;
	return 1;
}

/* ---- AMD --------------------------------------------------------------- */

uint64_t qlab_amd_efr(const struct qlab *q)
{
	return q->efr;
}

void qlab_amd_cmd(struct qlab *q, uint64_t lo, uint64_t hi)
{
	volatile uint64_t *done = words(q, OWN_STATUS);
	const uint64_t two[4] = {
		lo, hi, OWN_STATUS | 1 | 1ull << 60, ++q->cmdseq,
	};

	for (int i = 0; i < 4; i += 2) {
		uint64_t *c = words(q, OWN_CMDBUF + q->cmdtail);

		c[0] = two[i];
		c[1] = two[i + 1];
		q->cmdtail = (q->cmdtail + 16) & 0xfff;
	}
	qlab_write(q, AMD_BASE + A_CMDTAIL, 8, q->cmdtail);
	if (*done != q->cmdseq)
		die("command %016" PRIx64 " not completed, status %" PRIx64, lo,
		    qlab_read(q, AMD_BASE + A_STATUS, 8));
}

void qlab_amd_inv_all(struct qlab *q)
{
	qlab_amd_cmd(q, 8ull << 60, 0);
}

void qlab_amd_inv_domain(struct qlab *q, uint16_t did)
{
	qlab_amd_cmd(q, 3ull << 60 | (uint64_t)did << 32,
		     0x7ffffffffffff000ull | 3);	/* S, PDE, all pages */
}

void qlab_amd_inv_pages(struct qlab *q, uint16_t did, uint64_t iova,
			unsigned log2_pages)
{
	uint64_t a = iova & ~0xfffull;

	if (log2_pages)		/* bits below the size are ones, its top zero */
		a = ((a & ~((0x1000ull << log2_pages) - 1)) |
		     ((0x800ull << log2_pages) - 1)) & ~0xfffull;
	qlab_amd_cmd(q, 3ull << 60 | (uint64_t)did << 32,
		     a | 2 | (log2_pages ? 1 : 0));
}

void qlab_amd_dte(struct qlab *q, const uint64_t dte[4])
{
	memcpy(words(q, OWN_DEVTAB + 32ull * q->sid), dte, 32);
	/* IOMMU, event log, command buffer on. */
	qlab_write(q, AMD_BASE + A_CONTROL, 8, 1 | 1 << 2 | 1 << 12);
	qlab_amd_cmd(q, 2ull << 60 | q->sid, 0);
	qlab_amd_inv_all(q);
}

void qlab_amd_attach(struct qlab *q, uint64_t pgd_gpa, int levels, uint16_t did)
{
	const uint64_t dte[4] = {
		pgd_gpa | (uint64_t)levels << 9 | 3 | 3ull << 61, did, 0, 0,
	};

	qlab_amd_dte(q, dte);
}

static int amd_fault(struct qlab *q, struct qlab_fault *f)
{
	uint64_t tail, status;
	uint64_t *e;

	/* The log where it works, else the signalled target abort. */
	qlab_q_read(q, AMD_BASE + A_EVTTAIL, 8, &tail);
	cfg_addr(q, q->amd_bdf, 4);
	queue(q, &status, "inl 0xcfc\n");
	cfg_addr(q, q->amd_bdf, 4);
	queue(q, NULL, "outw 0xcfe 0x%x\n", 1u << 11);
	qlab_flush(q);

	memset(f, 0, sizeof(*f));
	tail &= 0x7fff0;
	if (tail != q->evthead) {
		e = words(q, OWN_EVTLOG + q->evthead);
		f->seen = 1;
		f->sid = (uint16_t)e[0];
		f->reason = (uint8_t)(e[0] >> 60);
		f->is_write = e[0] >> (32 + 16 + 5) & 1;
		f->addr = e[1];
		f->overflow = ((tail - q->evthead) & 0xfff) > 16;
		q->evthead = (uint32_t)tail;
		qlab_write(q, AMD_BASE + A_EVTHEAD, 8, tail);
	} else if (status >> 16 & 1u << 11) {
		f->seen = 1;
		f->sid = q->sid;
	}
	return f->seen;
}

int qlab_fault(struct qlab *q, struct qlab_fault *f)
{
	struct qlab_fault none;

	if (!f)
		f = &none;
	if (q->iommu == QLAB_VTD)
		return vtd_fault(q, f);
	if (q->iommu == QLAB_AMD)
		return amd_fault(q, f);
	memset(f, 0, sizeof(*f));
	return 0;
}

/* ---- edu --------------------------------------------------------------- */

static void edu_reg(struct qlab *q, unsigned i, uint64_t v)
{
	if (q->edu[i] == v)
		return;
	q->edu[i] = v;
	qlab_q_write(q, EDU_BAR + 0x80 + 8 * i, 8, v);
}

static void edu_go(struct qlab *q, uint64_t src, uint64_t dst, unsigned off,
		   unsigned len, unsigned cmd)
{
	/* edu stops QEMU for a transfer that reaches the end of its 4096. */
	if (!len || len > QLAB_EDU_MAX || off + len > 4095)
		die("edu: bad transfer %u+%u", off, len);
	edu_reg(q, 0, src);
	edu_reg(q, 1, dst);
	edu_reg(q, 2, len);
	qlab_q_write(q, EDU_BAR + 0x98, 8, cmd);
	if (q->stepping)
		qlab_q_clock_step(q, 100000000);	/* its timer: 100 ms */
	else
		q->pending = 1;
	q->st.dmas++;
}

void qlab_q_edu_fetch(struct qlab *q, uint64_t iova, unsigned off, unsigned len)
{
	edu_go(q, iova, 0x40000 + off, off, len, 1);
}

void qlab_q_edu_store(struct qlab *q, uint64_t iova, unsigned off, unsigned len)
{
	edu_go(q, 0x40000 + off, iova, off, len, 3);
}

void qlab_edu_fetch(struct qlab *q, uint64_t iova, unsigned off, unsigned len)
{
	qlab_q_edu_fetch(q, iova, off, len);
	qlab_flush(q);
}

void qlab_edu_store(struct qlab *q, uint64_t iova, unsigned off, unsigned len)
{
	qlab_q_edu_store(q, iova, off, len);
	qlab_flush(q);
}

/* Swap the device's entry for a pass-through one, or put it back. */
static void bypass(struct qlab *q, int on)
{
	uint64_t *e, e0;
	unsigned n;

	qlab_flush(q);
	if (q->iommu == QLAB_VTD && q->gcmd & GCMD_TE) {
		uint64_t *root = words(q, q->root + 16ull * (q->sid >> 8));
		unsigned devfn = q->sid & 0xff;

		if (!(q->rtflags & 0x400)) {
			e = words(q, (root[0] & ~0xfffull) + 16 * devfn);
			n = 2;
		} else {
			e = words(q, (root[devfn >> 7] & ~0xfffull) +
				  32 * (devfn & 0x7f));
			e = words(q, *words(q, e[0] & ~0xfffull) & ~0xfffull);
			n = 2;
		}
		if (on) {
			memcpy(q->saved, e, n * 8);
			if (q->rtflags & 0x400) {
				/* PGTT 4: pass-through; AW 48 bits */
				e0 = 1 | 4u << 6 | 2u << 2;
				e[1] = 0xfffe;
			} else {
				e0 = 1 | 2u << 2;
				e[1] = (q->cap >> 10 & 1 ? 2 : 1) | 0xfffe00u;
			}
			e[0] = e0;
		} else {
			memcpy(e, q->saved, n * 8);
		}
		qlab_vtd_inv_device(q, q->sid, 0xfffe);
	} else if (q->iommu == QLAB_AMD) {
		e = words(q, OWN_DEVTAB + 32ull * q->sid);
		if (on) {
			memcpy(q->saved, e, 32);
			memset(e, 0, 32);	/* V = 0: not translated */
		} else {
			memcpy(e, q->saved, 32);
		}
		/* QEMU has no device-table cache; the command is for form. */
		if (q->saved[0])
			qlab_amd_cmd(q, 2ull << 60 | q->sid, 0);
	}
}

void qlab_window(struct qlab *q, uint64_t iova, uint64_t gpa)
{
	q->win_iova = iova;
	q->win_gpa = gpa;
}

void qlab_edu_set(struct qlab *q, unsigned off, const void *src, unsigned len)
{
	uint64_t gpa = q->win_gpa ? q->win_gpa : OWN_BOUNCE;
	uint64_t iova = q->win_gpa ? q->win_iova : OWN_BOUNCE;

	memcpy(words(q, gpa), src, len);
	if (!q->win_gpa)
		bypass(q, 1);
	qlab_edu_fetch(q, iova, off, len);
	if (!q->win_gpa)
		bypass(q, 0);
}

void qlab_edu_get(struct qlab *q, unsigned off, void *dst, unsigned len)
{
	uint64_t gpa = q->win_gpa ? q->win_gpa : OWN_BOUNCE;
	uint64_t iova = q->win_gpa ? q->win_iova : OWN_BOUNCE;

	if (!q->win_gpa)
		bypass(q, 1);
	qlab_edu_store(q, iova, off, len);
	if (!q->win_gpa)
		bypass(q, 0);
	memcpy(dst, words(q, gpa), len);
}

int qlab_dma_read(struct qlab *q, uint64_t iova, void *dst, unsigned len,
		  struct qlab_fault *f)
{
	int r;

	qlab_q_edu_fetch(q, iova, 0, len);
	r = qlab_fault(q, f);
	qlab_edu_get(q, 0, dst, len);
	return r;
}

int qlab_dma_write(struct qlab *q, uint64_t iova, const void *src, unsigned len,
		   struct qlab_fault *f)
{
	qlab_edu_set(q, 0, src, len);
	qlab_q_edu_store(q, iova, 0, len);
	return qlab_fault(q, f);
}

void qlab_stamp(struct qlab *q, uint64_t gpa, uint64_t len)
{
	uint64_t *p = qlab_ptr(q, gpa, len);

	if (!p || (gpa | len) & 7)
		die("cannot stamp 0x%" PRIx64, gpa);
	for (uint64_t i = 0; i < len / 8; i++)
		p[i] = gpa + 8 * i;
}

int qlab_where(struct qlab *q, uint64_t iova, uint64_t *gpa, struct qlab_fault *f)
{
	uint64_t word = 0;

	if (qlab_dma_read(q, iova, &word, 8, f))
		return 1;
	if (!word || word & 7 || (word ^ iova) & 0xff8 || !qlab_ptr(q, word, 8))
		return -1;
	*gpa = word;
	return 0;
}
