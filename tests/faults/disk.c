/* Number the calls by which a process changes files below a directory, and stop one of them.

   LD_PRELOAD this, with DISK_ROOT=directory. DISK_LOG gets a line for each call: the number, the
   call and the path below the directory; DISK_TRACE one for each that succeeded: the call, the path,
   the path that was renamed or -, and what was written, in hex. DISK_AT=number and DISK_HOW say
   what happens there:

     before, after   the process is killed before or after the call
     frozen          the call and every later one fail, and change nothing: the disk stays as a kill
                     before the call leaves it
     ENOSPC, EIO     the call fails, and every later one that needs space or the device, too
     EINTR           the call fails, once
     short           a write writes half of its bytes, once

   A full or a failing disk stays so, as a real one does. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

atomic_int calls; /* so far: a process that runs several commands sets it to 0 for each */

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

/* The path of a name below a directory handle; 0 unless it is below DISK_ROOT. */
static const char *below(int at, const char *name, char *path) {
  const char *root = getenv("DISK_ROOT");
  if (!root || !name) return 0;
  if (name[0] == '/') {
    snprintf(path, PATH_MAX, "%s", name);
  } else {
    char link[64], start[PATH_MAX];
    snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
    ssize_t size = readlink(link, start, sizeof start - 1);
    if (size < 0) return 0;
    start[size] = 0;
    if (name[0]) snprintf(path, PATH_MAX, "%.2000s/%.2000s", start, name);
    else snprintf(path, PATH_MAX, "%s", start);
  }
  size_t length = strlen(root);
  if (strncmp(path, root, length) || (path[length] != '/' && path[length])) return 0;
  return path + length;
}

static void add_line(const char *variable, const char *line, size_t size) {
  const char *path = getenv(variable);
  if (!path) return;
  int file = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (file < 0 || REAL(write)(file, line, size) < 0) abort();
  close(file);
}

/* Number a call; return 1 if it is the one to stop. A process that is to die before it dies here. */
static int point(const char *call, int at, const char *name, int *number, char *path) {
  const char *inside = below(at, name, path);
  *number = 0;
  if (!inside) return 0;
  *number = atomic_fetch_add(&calls, 1) + 1;
  char line[PATH_MAX + 64];
  add_line("DISK_LOG", line, snprintf(line, sizeof line, "%d %s %s\n", *number, call, inside));
  const char *stop = getenv("DISK_AT"), *how = getenv("DISK_HOW");
  if (!stop || !how || *number < atoi(stop)) return 0;
  if (*number > atoi(stop))
    return !strcmp(how, "ENOSPC") || !strcmp(how, "EIO") || !strcmp(how, "frozen");
  if (!strcmp(how, "before")) kill(getpid(), SIGKILL);
  return 1;
}

/* What fails with a full disk: not what frees space, nor what only gives names. */
static int fails(const char *call, int stopped) {
  const char *how = getenv("DISK_HOW");
  if (!stopped) return 0;
  int error = !strcmp(how, "EINTR") ? EINTR : 0;
  if (!strcmp(how, "EIO") || !strcmp(how, "frozen")) error = EIO;
  if (!strcmp(how, "ENOSPC") && strcmp(call, "unlink") && strcmp(call, "rmdir") &&
      strcmp(call, "truncate"))
    error = ENOSPC;
  errno = error ? error : errno;
  return error;
}

static void passed(int number) {
  const char *stop = getenv("DISK_AT"), *how = getenv("DISK_HOW");
  if (number && stop && how && number == atoi(stop) && !strcmp(how, "after"))
    kill(getpid(), SIGKILL);
}

/* Tell what a call did that succeeded. */
static void told(int number, const char *call, const char *path, const char *from, const void *data,
                 ssize_t size) {
  if (!number || !getenv("DISK_TRACE")) return;
  size_t root = strlen(getenv("DISK_ROOT")), length = 0;
  char *line = malloc(2 * PATH_MAX + 2 * size + 64);
  length = sprintf(line, "%s %s %s ", call, path + root, from ? from + root : "-");
  for (ssize_t i = 0; data && i < size; i++)
    length += sprintf(line + length, "%02x", ((const unsigned char *)data)[i]);
  line[length++] = '\n';
  add_line("DISK_TRACE", line, length);
  free(line);
}

#define CALL_FROM(call, at, name, real, from)                 \
  char path_of[PATH_MAX];                                     \
  int number, stopped = point(call, at, name, &number, path_of); \
  if (fails(call, stopped)) return -1;                        \
  typeof(real) result = real;                                 \
  if (result >= 0) told(number, call, path_of, from, 0, 0);   \
  passed(number);                                             \
  return result;

#define CALL(call, at, name, real) CALL_FROM(call, at, name, real, 0)

#define WRITE(real_short, real, data)                         \
  char path_of[PATH_MAX];                                     \
  int number, stopped = point("write", fd, "", &number, path_of); \
  if (fails("write", stopped)) return -1;                     \
  const char *how = getenv("DISK_HOW");                       \
  if (stopped && how && !strcmp(how, "short")) return real_short; \
  ssize_t result = real;                                      \
  if (result >= 0) told(number, "write", path_of, 0, data, result); \
  passed(number);                                             \
  return result;

ssize_t write(int fd, const void *data, size_t size) {
  WRITE(REAL(write)(fd, data, (size + 1) / 2), REAL(write)(fd, data, size), data)
}

/* Of these the trace does not have what was written: only a database calls them. */
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  WRITE(REAL(pwrite)(fd, data, (size + 1) / 2, offset), REAL(pwrite)(fd, data, size, offset), 0)
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  WRITE(REAL(pwrite64)(fd, data, (size + 1) / 2, offset), REAL(pwrite64)(fd, data, size, offset), 0)
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  WRITE(REAL(writev)(fd, parts, (count + 1) / 2), REAL(writev)(fd, parts, count), 0)
}

int fsync(int fd) { CALL("fsync", fd, "", REAL(fsync)(fd)) }
int fdatasync(int fd) { CALL("fsync", fd, "", REAL(fdatasync)(fd)) }
int ftruncate(int fd, off_t size) { CALL("truncate", fd, "", REAL(ftruncate)(fd, size)) }
int ftruncate64(int fd, off64_t size) { CALL("truncate", fd, "", REAL(ftruncate64)(fd, size)) }
int fchmod(int fd, mode_t mode) { CALL("chmod", fd, "", REAL(fchmod)(fd, mode)) }
int chmod(const char *path, mode_t mode) { CALL("chmod", AT_FDCWD, path, REAL(chmod)(path, mode)) }
int unlink(const char *path) { CALL("unlink", AT_FDCWD, path, REAL(unlink)(path)) }
int rmdir(const char *path) { CALL("rmdir", AT_FDCWD, path, REAL(rmdir)(path)) }
int mkdir(const char *path, mode_t mode) { CALL("mkdir", AT_FDCWD, path, REAL(mkdir)(path, mode)) }
int link(const char *from, const char *to) { CALL("link", AT_FDCWD, to, REAL(link)(from, to)) }
int symlink(const char *to, const char *path) {
  CALL("link", AT_FDCWD, path, REAL(symlink)(to, path))
}
int rename(const char *from, const char *to) {
  char before[PATH_MAX];
  below(AT_FDCWD, from, before);
  CALL_FROM("rename", AT_FDCWD, to, REAL(rename)(from, to), before)
}

int unlinkat(int at, const char *path, int flags) {
  CALL("unlink", at, path, REAL(unlinkat)(at, path, flags))
}
int mkdirat(int at, const char *path, mode_t mode) {
  CALL("mkdir", at, path, REAL(mkdirat)(at, path, mode))
}
int renameat(int from_at, const char *from, int to_at, const char *to) {
  char before[PATH_MAX];
  below(from_at, from, before);
  CALL_FROM("rename", to_at, to, REAL(renameat)(from_at, from, to_at, to), before)
}
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
  CALL("link", to_at, to, REAL(linkat)(from_at, from, to_at, to, flags))
}

/* An open changes the disk where it may make a file or cut one. */
#define OPEN(at, real)                                                    \
  mode_t mode = 0;                                                        \
  if (flags & (O_CREAT | O_TMPFILE)) {                                    \
    va_list rest;                                                         \
    va_start(rest, flags);                                                \
    mode = va_arg(rest, mode_t);                                          \
    va_end(rest);                                                         \
  }                                                                       \
  char path_of[PATH_MAX];                                                 \
  int number = 0, stopped = 0;                                            \
  if (flags & (O_CREAT | O_TRUNC)) stopped = point("open", at, path, &number, path_of); \
  if (fails("open", stopped)) return -1;                                  \
  int result = real;                                                      \
  if (result >= 0) told(number, flags & O_TRUNC ? "truncate" : "open", path_of, 0, 0, 0); \
  passed(number);                                                         \
  return result;

int open(const char *path, int flags, ...) { OPEN(AT_FDCWD, REAL(open)(path, flags, mode)) }
int open64(const char *path, int flags, ...) { OPEN(AT_FDCWD, REAL(open64)(path, flags, mode)) }
int openat(int at, const char *path, int flags, ...) {
  OPEN(at, REAL(openat)(at, path, flags, mode))
}
int openat64(int at, const char *path, int flags, ...) {
  OPEN(at, REAL(openat64)(at, path, flags, mode))
}
