/* A layer under the C library: it counts, logs, fails or kills at every change to files below one folder.
 *
 * Loaded with LD_PRELOAD into a process and all that it starts; see disk.py for the environment, the page of counters
 * and the form of the log. Calls go straight to the kernel; the interposed names are those that CPython, SQLite, numpy
 * and C++ streams call through the dynamic linker. What glibc's own stdio writes cannot be seen: a file whose size is
 * not what the log implies is therefore logged whole before its fsync.
 *
 * One robust mutex in the shared page orders operations over all processes, so that the log is in the order in which
 * things happened, also where a process dies in the middle.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#undef open64
#undef openat64
#undef creat64
#undef pwrite64
#undef pwritev64
#undef ftruncate64
#undef truncate64
#undef fallocate64
#undef posix_fallocate64
#undef fopen64
#undef sendfile64

enum kind { WRITE = 1, TRUNCATE, SYNC, SYNC_FOLDER, RENAME, UNLINK, MKDIR, RMDIR, CREATE, SNAPSHOT, LINK, NOTE, SYNC_FAILED };

#define MAGIC 0x6b736964u /* "disk" */
#define EVERYBODY UINT64_MAX
#define SIZES 32768

struct header {
  uint32_t magic, kind, pid, path_bytes, path2_bytes;
  uint64_t offset, length;
} __attribute__((packed));

/* The first 4,096 bytes are the page that disk.py shares; the sizes that the log implies follow, by inode. */
struct control {
  uint64_t operations, kill_before, fail_from, error, fail_kinds, fail_count, failed, kill_after, short_write, victim;
  uint64_t killed_at, killed_kind;
  _Atomic uint64_t ready;
  uint64_t unused[51];
  char killed_path[1024];
  pthread_mutex_t mutex;
  char rest[4096 - 64 * 8 - 1024 - sizeof(pthread_mutex_t)];
  struct { uint64_t inode, size_and_one; } sizes[SIZES];
};

_Static_assert(offsetof(struct control, killed_path) == 512 && offsetof(struct control, sizes) == 4096, "see disk.py");

static struct control *control;
static char root[PATH_MAX];
static size_t root_bytes;
static char notes[PATH_MAX];
static int log_file = -1;

/* -- finding out what a call is about ----------------------------------------------------------------------------- */

static int ignored(const char *path) {
  size_t n = strlen(path);
  return (n > 5 && !strcmp(path + n - 5, ".mark")) || (n > 4 && !strcmp(path + n - 4, "-shm"));
}

/* The part of an absolute path below the root; NULL when it is elsewhere or ignored. */
static const char *below(const char *path) {
  if (!control || strncmp(path, root, root_bytes)) return NULL;
  if (path[root_bytes] == 0) return path + root_bytes;
  if (path[root_bytes] != '/' || ignored(path)) return NULL;
  return path + root_bytes + 1;
}

static int of_handle(int fd, char *out) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
  if (n < 0) return 0;
  out[n] = 0;
  return out[0] == '/';
}

/* A name as an absolute path without "." and "..", taken lexically; 0 when it cannot be told. */
static int of_name(int folder, const char *name, char *out) {
  char joined[2 * PATH_MAX];
  if (!name || strlen(name) >= PATH_MAX) return 0;
  if (name[0] == '/') {
    strcpy(joined, name);
  } else {
    char base[PATH_MAX];
    if (folder == AT_FDCWD ? !getcwd(base, sizeof base) : !of_handle(folder, base)) return 0;
    snprintf(joined, sizeof joined, "%s/%s", base, name);
  }
  size_t n = 0;
  for (char *at = joined; *at;) {
    while (*at == '/') at++;
    char *end = strchrnul(at, '/');
    size_t part = end - at;
    if (part == 2 && at[0] == '.' && at[1] == '.') {
      while (n && out[--n] != '/') {}
    } else if (part && !(part == 1 && at[0] == '.')) {
      if (n + part + 2 > PATH_MAX) return 0;
      out[n++] = '/';
      memcpy(out + n, at, part);
      n += part;
    }
    at = end;
  }
  out[n] = 0;
  return n > 0;
}

static const char *handle_below(int fd, char *buffer) {
  if (!control || !of_handle(fd, buffer)) return NULL;
  const char *path = below(buffer);
  struct stat status;
  /* A file without a name is no part of what a disk would hold. */
  return path && !fstat(fd, &status) && status.st_nlink ? path : NULL;
}

static const char *name_below(int folder, const char *name, char *buffer) {
  return control && of_name(folder, name, buffer) ? below(buffer) : NULL;
}

/* -- the page ------------------------------------------------------------------------------------------------------ */

static void lock(void) {
  if (pthread_mutex_lock(&control->mutex) == EOWNERDEAD) pthread_mutex_consistent(&control->mutex);
}

static void unlock(void) {
  int kept = errno;
  pthread_mutex_unlock(&control->mutex);
  errno = kept;
}

static void kill_victim(enum kind kind, const char *path) {
  control->killed_at = control->operations;
  control->killed_kind = kind;
  snprintf(control->killed_path, sizeof control->killed_path, "%s", path);
  control->kill_before = control->kill_after = 0;
  pid_t victim = control->victim == EVERYBODY ? 0 : control->victim ? (pid_t)control->victim : getpid();
  kill(victim, SIGKILL);
  while (!victim || victim == getpid()) pause();
}

/* Count an operation, under the lock; false when it is to fail, with errno set. */
static int begin(enum kind kind, const char *path) {
  uint64_t number = ++control->operations;
  if (control->kill_before == number) kill_victim(kind, path);
  if (control->fail_from && number >= control->fail_from && control->fail_kinds >> kind & 1 &&
      (!control->fail_count || control->failed < control->fail_count)) {
    control->failed++;
    errno = (int)control->error;
    return 0;
  }
  return 1;
}

static void record(enum kind kind, const char *path, const char *path2, uint64_t offset, uint64_t length,
                   const struct iovec *data, int parts) {
  if (log_file < 0) return;
  int kept = errno;
  struct header header = {MAGIC, kind, (uint32_t)getpid(), strlen(path), path2 ? strlen(path2) : 0, offset, length};
  struct iovec all[3 + 64];
  int n = 0;
  all[n++] = (struct iovec){&header, sizeof header};
  all[n++] = (struct iovec){(void *)path, header.path_bytes};
  if (path2) all[n++] = (struct iovec){(void *)path2, header.path2_bytes};
  for (int i = 0; i < parts; i++) all[n++] = data[i];
  ssize_t expected = 0;
  for (int i = 0; i < n; i++) expected += all[i].iov_len;
  if (syscall(SYS_writev, log_file, all, n) != expected) abort(); /* a log with holes proves nothing */
  errno = kept;
}

static void end(enum kind kind, const char *path) {
  if (control->kill_after && control->kill_after == control->operations) kill_victim(kind, path);
  unlock();
}

/* -- the sizes that the log implies -------------------------------------------------------------------------------- */

static uint64_t *size_of(uint64_t inode, int add) {
  for (uint64_t i = 0, at = inode * 0x9e3779b97f4a7c15u >> 49; i < SIZES; i++, at = (at + 1) % SIZES) {
    if (control->sizes[at].inode == inode) return &control->sizes[at].size_and_one;
    if (!control->sizes[at].inode) {
      if (!add) return NULL;
      control->sizes[at].inode = inode;
      return &control->sizes[at].size_and_one;
    }
  }
  return NULL;
}

static void imply(int fd, uint64_t size, int exactly) {
  struct stat status;
  if (log_file < 0 || fstat(fd, &status)) return;
  uint64_t *known = size_of(status.st_ino, exactly);
  if (known && (exactly || (*known && size + 1 > *known))) *known = size + 1;
}

/* What is about to lose its name: its inode may come back as another file. */
static void forget(int folder, const char *name) {
  struct stat status;
  if (log_file < 0 || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) || !S_ISREG(status.st_mode)) return;
  uint64_t *known = status.st_nlink == 1 ? size_of(status.st_ino, 0) : NULL;
  if (known) *known = 0;
}

/* Log a file whole if something wrote to it that was not seen. */
static void snapshot(int fd, const char *path) {
  struct stat status;
  if (log_file < 0 || fstat(fd, &status) || !S_ISREG(status.st_mode)) return;
  uint64_t *known = size_of(status.st_ino, 1);
  if (known && *known == (uint64_t)status.st_size + 1) return;
  char open_again[64];
  snprintf(open_again, sizeof open_again, "/proc/self/fd/%d", fd);
  int reader = syscall(SYS_openat, AT_FDCWD, open_again, O_RDONLY | O_CLOEXEC);
  char *data = reader < 0 ? NULL : malloc(status.st_size + 1);
  ssize_t n = 0, part = 0;
  while (data && n < status.st_size && (part = pread(reader, data + n, status.st_size - n, n)) > 0) n += part;
  if (!data || n != status.st_size) abort();
  struct iovec whole = {data, n};
  record(SNAPSHOT, path, NULL, 0, n, &whole, 1);
  if (known) *known = n + 1;
  free(data);
  syscall(SYS_close, reader);
}

__attribute__((constructor)) static void start(void) {
  const char *folder = getenv("RAGVEC_DISK_ROOT"), *page = getenv("RAGVEC_DISK_CONTROL");
  const char *log = getenv("RAGVEC_DISK_LOG"), *note = getenv("RAGVEC_DISK_NOTES");
  if (!folder || !page) return;
  int fd = syscall(SYS_openat, AT_FDCWD, page, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  struct control *mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (mapped == MAP_FAILED) abort();
  uint64_t unset = 0;
  if (atomic_compare_exchange_strong(&mapped->ready, &unset, 1)) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mapped->mutex, &kind);
    atomic_store(&mapped->ready, 2);
  }
  while (atomic_load(&mapped->ready) != 2) sched_yield();
  if (log) {
    /* Out of the way of programs that count on the lowest free handle. */
    int opened = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (opened < 0) abort();
    log_file = fcntl(opened, F_DUPFD_CLOEXEC, 700);
    if (log_file < 0)
      log_file = opened;
    else
      syscall(SYS_close, opened);
  }
  snprintf(root, sizeof root, "%s", folder);
  root_bytes = strlen(root);
  if (note) snprintf(notes, sizeof notes, "%s", note);
  control = mapped;
}

/* -- opening ------------------------------------------------------------------------------------------------------- */

static int opened(int folder, const char *name, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  const char *path = flags & (O_CREAT | O_TRUNC) ? name_below(folder, name, buffer) : NULL;
  if (!path) return syscall(SYS_openat, folder, name, flags, mode);
  lock();
  struct stat status;
  int absent = fstatat(folder, name, &status, 0) != 0;
  enum kind kind = absent ? CREATE : TRUNCATE;
  int changes = absent ? flags & O_CREAT : (flags & O_TRUNC) && status.st_size && !(flags & O_EXCL);
  if (changes && !begin(kind, path)) {
    unlock();
    return -1;
  }
  int fd = syscall(SYS_openat, folder, name, flags, mode);
  if (fd >= 0 && changes) {
    imply(fd, 0, 1);
    record(kind, path, NULL, 0, 0, NULL, 0);
    end(kind, path);
    return fd;
  }
  unlock();
  return fd;
}

#define OPEN_MODE \
  mode_t mode = 0; \
  if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) { \
    va_list more; \
    va_start(more, flags); \
    mode = va_arg(more, mode_t); \
    va_end(more); \
  }

int open(const char *name, int flags, ...) { OPEN_MODE return opened(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { OPEN_MODE return opened(AT_FDCWD, name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { OPEN_MODE return opened(folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { OPEN_MODE return opened(folder, name, flags, mode); }
int __open_2(const char *name, int flags) { return opened(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return opened(AT_FDCWD, name, flags, 0); }
int __openat_2(int folder, const char *name, int flags) { return opened(folder, name, flags, 0); }
int __openat64_2(int folder, const char *name, int flags) { return opened(folder, name, flags, 0); }
int creat(const char *name, mode_t mode) { return opened(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return opened(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode); }

/* stdio opens by itself: only that it makes or empties a file can be seen. */
static FILE *opened_stream(const char *function, const char *name, const char *mode) {
  FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, function);
  char buffer[PATH_MAX];
  const char *path = mode[0] == 'r' ? NULL : name_below(AT_FDCWD, name, buffer);
  if (path) {
    int fd = opened(AT_FDCWD, name, O_WRONLY | O_CREAT | (mode[0] == 'w' ? O_TRUNC : 0), 0666);
    if (fd < 0) return NULL;
    syscall(SYS_close, fd);
  }
  return real(name, mode);
}

FILE *fopen(const char *name, const char *mode) { return opened_stream("fopen", name, mode); }
FILE *fopen64(const char *name, const char *mode) { return opened_stream("fopen64", name, mode); }

/* -- writing ------------------------------------------------------------------------------------------------------- */

static ssize_t really_written(int fd, const struct iovec *parts, int count, off_t at) {
  return at < 0 ? syscall(SYS_writev, fd, parts, count) : syscall(SYS_pwritev, fd, parts, count, (long)at, (long)0);
}

/* `at` below 0 is where the handle stands. */
static ssize_t written(int fd, const struct iovec *parts, int count, off_t at) {
  char buffer[PATH_MAX];
  if (!control || !of_handle(fd, buffer)) return really_written(fd, parts, count, at);
  int note = notes[0] && !strcmp(buffer, notes);
  const char *path = note ? "" : handle_below(fd, buffer);
  if (!path || count > 64) return really_written(fd, parts, count, at);
  lock();
  struct iovec cut[64];
  memcpy(cut, parts, count * sizeof *parts);
  size_t room = SIZE_MAX;
  if (!note && !begin(WRITE, path)) {
    size_t whole = 0;
    for (int i = 0; i < count; i++) whole += parts[i].iov_len;
    if (!control->short_write || control->failed != 1 || whole < 2) {
      unlock();
      return -1;
    }
    room = whole / 2; /* as a disk does that becomes full: a part is written, and the next write fails */
  }
  for (int i = 0; i < count; i++) {
    if (cut[i].iov_len > room) cut[i].iov_len = room;
    room -= cut[i].iov_len;
  }
  struct stat status;
  off_t offset = at;
  if (at < 0 || fcntl(fd, F_GETFL) & O_APPEND) {
    offset = lseek(fd, 0, SEEK_CUR);
    if (fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &status)) offset = status.st_size;
  }
  ssize_t done = really_written(fd, cut, count, at);
  if (done > 0) {
    size_t left = done;
    for (int i = 0; i < count; i++) {
      if (cut[i].iov_len > left) cut[i].iov_len = left;
      left -= cut[i].iov_len;
    }
    if (!note) imply(fd, offset + done, 0);
    record(note ? NOTE : WRITE, path, NULL, offset, done, cut, count);
  }
  if (note)
    unlock();
  else
    end(WRITE, path);
  return done;
}

ssize_t write(int fd, const void *data, size_t bytes) {
  struct iovec one = {(void *)data, bytes};
  return written(fd, &one, 1, -1);
}
ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at) {
  struct iovec one = {(void *)data, bytes};
  return written(fd, &one, 1, at);
}
ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t at) { return pwrite(fd, data, bytes, at); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return written(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return written(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return written(fd, parts, count, at); }

/* Copies inside the kernel are read and written instead, in pieces that the log can hold. */
static ssize_t copied(int from, off_t *at, int to, size_t bytes) {
  char *data = malloc(1 << 20);
  if (!data) return errno = ENOMEM, -1;
  size_t piece = bytes < 1 << 20 ? bytes : 1 << 20;
  ssize_t n = at ? pread(from, data, piece, *at) : syscall(SYS_read, from, data, piece);
  if (n > 0) {
    ssize_t done = write(to, data, n);
    if (done < n && !at) lseek(from, done < 0 ? -n : done - n, SEEK_CUR);
    if (done > 0 && at) *at += done;
    n = done;
  }
  int kept = errno;
  free(data);
  errno = kept;
  return n;
}

ssize_t sendfile(int to, int from, off_t *at, size_t bytes) {
  char buffer[PATH_MAX];
  return handle_below(to, buffer) ? copied(from, at, to, bytes) : syscall(SYS_sendfile, to, from, at, bytes);
}
ssize_t sendfile64(int to, int from, off_t *at, size_t bytes) { return sendfile(to, from, at, bytes); }
ssize_t copy_file_range(int from, off_t *at, int to, off_t *to_at, size_t bytes, unsigned flags) {
  char buffer[PATH_MAX];
  if (!to_at && handle_below(to, buffer)) return copied(from, at, to, bytes);
  return syscall(SYS_copy_file_range, from, at, to, to_at, bytes, flags);
}

/* -- sizes --------------------------------------------------------------------------------------------------------- */

int ftruncate(int fd, off_t length) {
  char buffer[PATH_MAX];
  const char *path = handle_below(fd, buffer);
  if (!path) return syscall(SYS_ftruncate, fd, length);
  lock();
  if (!begin(TRUNCATE, path)) return unlock(), -1;
  int result = syscall(SYS_ftruncate, fd, length);
  if (!result) {
    struct stat status;
    uint64_t *known = log_file < 0 || fstat(fd, &status) ? NULL : size_of(status.st_ino, 0);
    if (known && *known) *known = length + 1;
    record(TRUNCATE, path, NULL, 0, length, NULL, 0);
  }
  end(TRUNCATE, path);
  return result;
}
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

int truncate(const char *name, off_t length) {
  char buffer[PATH_MAX];
  if (!name_below(AT_FDCWD, name, buffer)) return syscall(SYS_truncate, name, length);
  int fd = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = ftruncate(fd, length), kept = errno;
  syscall(SYS_close, fd);
  errno = kept;
  return result;
}
int truncate64(const char *name, off_t length) { return truncate(name, length); }

int fallocate(int fd, int mode, off_t at, off_t bytes) {
  char buffer[PATH_MAX];
  const char *path = handle_below(fd, buffer);
  if (!path) return syscall(SYS_fallocate, fd, mode, at, bytes);
  lock();
  if (!begin(TRUNCATE, path)) return unlock(), -1;
  struct stat before, after;
  fstat(fd, &before);
  int result = syscall(SYS_fallocate, fd, mode, at, bytes);
  if (!result && !fstat(fd, &after) && after.st_size != before.st_size) {
    imply(fd, after.st_size, 0);
    record(TRUNCATE, path, NULL, 0, after.st_size, NULL, 0);
  }
  end(TRUNCATE, path);
  return result;
}
int fallocate64(int fd, int mode, off_t at, off_t bytes) { return fallocate(fd, mode, at, bytes); }
int posix_fallocate(int fd, off_t at, off_t bytes) {
  int kept = errno, result = fallocate(fd, 0, at, bytes) ? errno : 0;
  errno = kept;
  return result;
}
int posix_fallocate64(int fd, off_t at, off_t bytes) { return posix_fallocate(fd, at, bytes); }

/* -- durability ---------------------------------------------------------------------------------------------------- */

static int synced(int fd, long call) {
  char buffer[PATH_MAX];
  const char *path = handle_below(fd, buffer);
  if (!path) return syscall(call, fd);
  struct stat status;
  enum kind kind = !fstat(fd, &status) && S_ISDIR(status.st_mode) ? SYNC_FOLDER : SYNC;
  lock();
  if (!begin(kind, path)) {
    record(SYNC_FAILED, path, NULL, 0, 0, NULL, 0);
    return unlock(), -1;
  }
  snapshot(fd, path);
  int result = syscall(call, fd);
  if (!result) record(kind, path, NULL, 0, 0, NULL, 0);
  end(kind, path);
  return result;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

/* -- names --------------------------------------------------------------------------------------------------------- */

int renameat2(int folder, const char *name, int folder2, const char *name2, unsigned flags) {
  char buffer[PATH_MAX], buffer2[PATH_MAX];
  const char *path = name_below(folder, name, buffer), *path2 = name_below(folder2, name2, buffer2);
  if (!path || !path2) return syscall(SYS_renameat2, folder, name, folder2, name2, flags);
  lock();
  if (!begin(RENAME, path)) return unlock(), -1;
  struct stat from, to;
  int same = !fstatat(folder, name, &from, AT_SYMLINK_NOFOLLOW) &&
             !fstatat(folder2, name2, &to, AT_SYMLINK_NOFOLLOW) && from.st_ino == to.st_ino;
  if (!same && !flags) forget(folder2, name2);
  int result = syscall(SYS_renameat2, folder, name, folder2, name2, flags);
  if (!result && !same) record(RENAME, path, path2, 0, 0, NULL, 0);
  end(RENAME, path);
  return result;
}
int renameat(int folder, const char *name, int folder2, const char *name2) {
  return renameat2(folder, name, folder2, name2, 0);
}
int rename(const char *name, const char *name2) { return renameat2(AT_FDCWD, name, AT_FDCWD, name2, 0); }

int unlinkat(int folder, const char *name, int flags) {
  char buffer[PATH_MAX];
  const char *path = name_below(folder, name, buffer);
  enum kind kind = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
  if (!path) return syscall(SYS_unlinkat, folder, name, flags);
  lock();
  if (!begin(kind, path)) return unlock(), -1;
  if (kind == UNLINK) forget(folder, name);
  int result = syscall(SYS_unlinkat, folder, name, flags);
  if (!result) record(kind, path, NULL, 0, 0, NULL, 0);
  end(kind, path);
  return result;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
  int result = unlink(name);
  return result && (errno == EISDIR || errno == EPERM) ? rmdir(name) : result;
}

int mkdirat(int folder, const char *name, mode_t mode) {
  char buffer[PATH_MAX];
  const char *path = name_below(folder, name, buffer);
  struct stat status;
  if (!path || !fstatat(folder, name, &status, 0)) return syscall(SYS_mkdirat, folder, name, mode);
  lock();
  if (!begin(MKDIR, path)) return unlock(), -1;
  int result = syscall(SYS_mkdirat, folder, name, mode);
  if (!result) record(MKDIR, path, NULL, 0, 0, NULL, 0);
  end(MKDIR, path);
  return result;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int linkat(int folder, const char *name, int folder2, const char *name2, int flags) {
  char buffer[PATH_MAX], buffer2[PATH_MAX];
  const char *path = name_below(folder, name, buffer), *path2 = name_below(folder2, name2, buffer2);
  if (!path2) return syscall(SYS_linkat, folder, name, folder2, name2, flags);
  lock();
  if (!begin(LINK, path2)) return unlock(), -1;
  int result = syscall(SYS_linkat, folder, name, folder2, name2, flags);
  if (!result) record(LINK, path ? path : "", path2, 0, 0, NULL, 0);
  end(LINK, path2);
  return result;
}
int link(const char *name, const char *name2) { return linkat(AT_FDCWD, name, AT_FDCWD, name2, 0); }
