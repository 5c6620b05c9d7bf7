/* faults.c - a disk that fails on demand, as a shared object for LD_PRELOAD.  Linux, glibc.
 *
 * Only files below GATEHOUSE_FAULTS_ROOT are touched.  Two services, each asked for by its variable:
 *
 * GATEHOUSE_FAULTS = CALL[/SUFFIX]:WHAT:FROM:COUNT[,...]
 *   The FROMth to (FROM+COUNT-1)th call of CALL on a file whose name ends in SUFFIX behaves as WHAT says.
 *   CALL: open write pwrite fsync fdatasync rename unlink ftruncate.  WHAT: EIO ENOSPC EACCES SHORT (half is written)
 *   STALL (takes 300 ms).  Example: "fdatasync/.log:EIO:10:1".  statvfs has CALL too; ENOSPC there means "no space free".
 *
 * GATEHOUSE_FAULTS_SHADOW = DIRECTORY
 *   The power-cut model: the directory gets what a disk would still have if the power failed now (powercut.h makes a
 *   directory of it).  f<ID> is the content of a file at its last sync; r<ID> is a hard link to the file itself;
 *   d<PATH> lists "ID NAME" as of the last sync of that directory.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FDS_MAX = 1024, RULES_MAX = 16, FILES_MAX = 65536, SHORT = -1, STALL = -2 };

struct rule {
	char call[16];
	char suffix[32];
	int what; /* errno, SHORT or STALL */
	long from;
	long count;
	long seen;
};

struct file {
	ino_t inode;
	bool alive; /* the inode's number still means this file */
};

struct descriptor {
	bool tracked;
	bool directory;
	long id; /* of the file, when the model runs */
	off_t dirty_from;
	off_t dirty_to;
	char path[512];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rule rules[RULES_MAX];
static int rule_count;
static struct descriptor descriptors[FDS_MAX];
static struct file files[FILES_MAX];
static long file_count;
static const char *root, *shadow;
static __thread bool inside; /* our own calls pass */

#define REAL(name) ((__typeof__(&name))faults_real(#name))

static void *faults_real(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);
	if (!found)
		abort();
	return found;
}

static int faults_what(const char *word)
{
	static const struct {
		const char *word;
		int what;
	} table[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EACCES", EACCES}, {"SHORT", SHORT}, {"STALL", STALL}};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(word, table[i].word) == 0)
			return table[i].what;
	fprintf(stderr, "faults: unknown word %s\n", word);
	abort();
}

__attribute__((constructor)) static void faults_start(void)
{
	root = getenv("GATEHOUSE_FAULTS_ROOT");
	shadow = getenv("GATEHOUSE_FAULTS_SHADOW");
	const char *spec = getenv("GATEHOUSE_FAULTS");
	while (root && spec && *spec && rule_count < RULES_MAX) {
		struct rule *rule = &rules[rule_count++];
		char call[64] = "", what[16] = "";
		if (sscanf(spec, "%63[^:]:%15[^:]:%ld:%ld", call, what, &rule->from, &rule->count) != 4)
			abort();
		char *slash = strchr(call, '/');
		if (slash) {
			*slash = '\0';
			snprintf(rule->suffix, sizeof rule->suffix, "%.31s", slash + 1);
		}
		snprintf(rule->call, sizeof rule->call, "%.15s", call);
		rule->what = faults_what(what);
		spec = strchr(spec, ',');
		spec = spec ? spec + 1 : NULL;
	}
}

static bool faults_below_root(const char *path)
{
	size_t len = root ? strlen(root) : 0;
	return len && strncmp(path, root, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* 0, an errno, SHORT or STALL (already waited out). */
static int faults_due(const char *call, const char *path)
{
	int what = 0;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < rule_count && !what; i++) {
		struct rule *rule = &rules[i];
		size_t len = strlen(path), suffix = strlen(rule->suffix);
		if (strcmp(rule->call, call) || suffix > len || strcmp(path + len - suffix, rule->suffix))
			continue;
		rule->seen++;
		if (rule->seen >= rule->from && rule->seen < rule->from + rule->count)
			what = rule->what;
	}
	pthread_mutex_unlock(&lock);
	if (what == STALL)
		nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	return what;
}

static struct descriptor *faults_descriptor(int fd)
{
	return !inside && fd >= 0 && fd < FDS_MAX && descriptors[fd].tracked ? &descriptors[fd] : NULL;
}

/* ---- the power-cut model; under the lock, with `inside` set ---- */

static void model_path(char *ret, size_t size, char kind, long id)
{
	snprintf(ret, size, "%s/%c%ld", shadow, kind, id);
}

/* The number of the file behind a path; a new one gets a hard link in the shadow. */
static long model_file(const char *path, const struct stat *st)
{
	for (long i = 0; i < file_count; i++)
		if (files[i].alive && files[i].inode == st->st_ino)
			return i;
	if (file_count == FILES_MAX)
		abort();
	long id = file_count++;
	char to[600];
	model_path(to, sizeof to, 'r', id);
	if (link(path, to))
		abort();
	files[id] = (struct file){st->st_ino, true}; /* the link keeps the number from being used again */
	return id;
}

static void model_copy(int from, const char *path, off_t begin, off_t end, off_t size)
{
	int to = REAL(open)(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (to < 0)
		abort();
	/* The descriptor may be write-only: read through another. */
	char self[64], chunk[65536];
	snprintf(self, sizeof self, "/proc/self/fd/%d", from);
	int source = REAL(open)(self, O_RDONLY | O_CLOEXEC);
	while (source >= 0 && begin < end) {
		size_t want = (size_t)(end - begin) < sizeof chunk ? (size_t)(end - begin) : sizeof chunk;
		ssize_t got = pread(source, chunk, want, begin);
		if (got <= 0)
			break;
		if (REAL(pwrite)(to, chunk, (size_t)got, begin) != got)
			abort();
		begin += got;
	}
	if (REAL(ftruncate)(to, size))
		abort();
	if (source >= 0)
		REAL(close)(source);
	REAL(close)(to);
}

static void model_sync_file(int fd, struct descriptor *d)
{
	struct stat st;
	char path[600];
	if (fstat(fd, &st))
		return;
	model_path(path, sizeof path, 'f', d->id);
	model_copy(fd, path, d->dirty_from, d->dirty_to, st.st_size);
	d->dirty_from = d->dirty_to = 0;
}

static void model_sync_directory(const char *path)
{
	char list[1200], flat[512];
	snprintf(flat, sizeof flat, "%.500s", path + strlen(root));
	for (char *c = flat; *c; c++)
		if (*c == '/')
			*c = '@';
	snprintf(list, sizeof list, "%s/d%s", shadow, flat);
	char fresh[1300];
	snprintf(fresh, sizeof fresh, "%s.new", list);
	FILE *out = fopen(fresh, "we");
	DIR *dir = opendir(path);
	if (!out || !dir)
		abort();
	for (struct dirent *entry; (entry = readdir(dir));) {
		char name[1024];
		struct stat st;
		snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		if (entry->d_name[0] == '.' || lstat(name, &st))
			continue;
		if (S_ISDIR(st.st_mode))
			fprintf(out, "-1 %s\n", entry->d_name);
		else if (S_ISREG(st.st_mode))
			fprintf(out, "%ld %s\n", model_file(name, &st), entry->d_name);
	}
	closedir(dir);
	if (fclose(out) || REAL(rename)(fresh, list))
		abort();
}

static void model_synced(int fd, struct descriptor *d)
{
	if (!shadow)
		return;
	pthread_mutex_lock(&lock);
	inside = true;
	if (d->directory)
		model_sync_directory(d->path);
	else
		model_sync_file(fd, d);
	inside = false;
	pthread_mutex_unlock(&lock);
}

static void model_wrote(struct descriptor *d, off_t from, ssize_t n)
{
	if (n <= 0)
		return;
	pthread_mutex_lock(&lock);
	if (d->dirty_to == d->dirty_from)
		d->dirty_from = from;
	if (from < d->dirty_from)
		d->dirty_from = from;
	if (from + n > d->dirty_to)
		d->dirty_to = from + n;
	pthread_mutex_unlock(&lock);
}

/* ---- what is interposed ---- */

static int faults_opened(int fd, const char *path)
{
	struct stat st;
	if (fd < 0 || fd >= FDS_MAX || inside || !faults_below_root(path) || fstat(fd, &st))
		return fd;
	pthread_mutex_lock(&lock);
	inside = true;
	struct descriptor *d = &descriptors[fd];
	*d = (struct descriptor){.tracked = true, .directory = S_ISDIR(st.st_mode), .id = -1};
	snprintf(d->path, sizeof d->path, "%.511s", path);
	if (shadow && S_ISREG(st.st_mode))
		d->id = model_file(path, &st);
	inside = false;
	pthread_mutex_unlock(&lock);
	return fd;
}

static int faults_open(const char *path, int flags, mode_t mode)
{
	int what = !inside && faults_below_root(path) && (flags & O_CREAT) ? faults_due("open", path) : 0;
	if (what > 0) {
		errno = what;
		return -1;
	}
	return faults_opened(REAL(open)(path, flags, mode), path);
}

#define OPEN_MODE(flags)                                                                                               \
	mode_t mode = 0;                                                                                               \
	if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                         \
		va_list args;                                                                                          \
		va_start(args, flags);                                                                                 \
		mode = va_arg(args, mode_t);                                                                           \
		va_end(args);                                                                                          \
	}

int open(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return faults_open(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return faults_open(path, flags, mode);
}

int close(int fd)
{
	if (fd >= 0 && fd < FDS_MAX && !inside)
		descriptors[fd].tracked = false;
	return REAL(close)(fd);
}

ssize_t write(int fd, const void *data, size_t n)
{
	struct descriptor *d = faults_descriptor(fd);
	int what = d ? faults_due("write", d->path) : 0;
	if (what > 0) {
		errno = what;
		return -1;
	}
	if (what == SHORT && n > 1)
		n /= 2;
	ssize_t written = REAL(write)(fd, data, n);
	if (d && written > 0)
		model_wrote(d, lseek(fd, 0, SEEK_CUR) - written, written);
	return written;
}

static ssize_t faults_pwrite(int fd, const void *data, size_t n, off_t at)
{
	struct descriptor *d = faults_descriptor(fd);
	int what = d ? faults_due("pwrite", d->path) : 0;
	if (what > 0) {
		errno = what;
		return -1;
	}
	if (what == SHORT && n > 1)
		n /= 2;
	ssize_t written = REAL(pwrite)(fd, data, n, at);
	if (d)
		model_wrote(d, at, written);
	return written;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at)
{
	return faults_pwrite(fd, data, n, at);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at)
{
	return faults_pwrite(fd, data, n, at);
}

static int faults_sync(const char *call, int fd, int (*real)(int))
{
	struct descriptor *d = faults_descriptor(fd);
	int what = d ? faults_due(call, d->path) : 0;
	if (what > 0) {
		errno = what;
		return -1;
	}
	/* The model takes the place of the sync: what is in the shadow is what survives. */
	int result = d && shadow ? 0 : real(fd);
	if (d && result == 0)
		model_synced(fd, d);
	return result;
}

int fsync(int fd)
{
	return faults_sync("fsync", fd, REAL(fsync));
}

int fdatasync(int fd)
{
	return faults_sync("fdatasync", fd, REAL(fdatasync));
}

static int faults_named(const char *call, const char *path)
{
	int what = !inside && faults_below_root(path) ? faults_due(call, path) : 0;
	if (what <= 0)
		return 0;
	errno = what;
	return -1;
}

int rename(const char *from, const char *to)
{
	return faults_named("rename", to) ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path)
{
	return faults_named("unlink", path) ? -1 : REAL(unlink)(path);
}

static int faults_ftruncate(int fd, off_t size)
{
	struct descriptor *d = faults_descriptor(fd);
	return d && faults_named("ftruncate", d->path) ? -1 : REAL(ftruncate)(fd, size);
}

int ftruncate(int fd, off_t size)
{
	return faults_ftruncate(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
	return faults_ftruncate(fd, size);
}

int statvfs(const char *path, struct statvfs *ret)
{
	int result = REAL(statvfs)(path, ret);
	if (result == 0 && !inside && faults_below_root(path) && faults_due("statvfs", path) == ENOSPC)
		ret->f_bavail = ret->f_bfree = 0;
	return result;
}
