/* Keeps what a power cut would leave: for files whose path begins with UNSYNCED_PREFIX, a copy in the folder UNSYNCED_KEPT of what was
 * synced, and only of that. Preloaded (LD_PRELOAD) into the process whose writes are to be lost.
 *
 * Writes go through, so every process sees them as it sees the page cache. A file enters the folder with its first fsync or fdatasync,
 * as it stands at that moment; renames, links and removals take effect there at once. Shared memory (-shm) is left out: SQLite makes it
 * anew when the first connection opens the file. A process that is killed while a file is being copied leaves some of its pages new and
 * some old, as a disk does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name, type, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

/* The path of the copy that belongs to a file; 0 for a file that is none of ours. */
static int kept(const char *path, char *copy) {
  const char *prefix = getenv("UNSYNCED_PREFIX"), *folder = getenv("UNSYNCED_KEPT");
  char whole[PATH_MAX], place[PATH_MAX];
  if (!prefix || !folder || !path) return 0;
  if (path[0] == '/') {
    snprintf(whole, sizeof whole, "%s", path);
  } else { /* PostgreSQL names its files from its own folder */
    if (!getcwd(place, sizeof place)) return 0;
    if (snprintf(whole, sizeof whole, "%s/%s", place, path) >= (int)sizeof whole) return 0;
  }
  size_t length = strlen(whole);
  if (strncmp(whole, prefix, strlen(prefix)) || (length > 4 && !strcmp(whole + length - 4, "-shm"))) return 0;
  return snprintf(copy, PATH_MAX, "%s/%s", folder, strrchr(whole, '/') + 1) < PATH_MAX;
}

/* Makes the copy equal to the file: 0; 1 for a file that is none of ours, -1 if it cannot. */
static int keep(int file) {
  char link[64], path[PATH_MAX], copy[PATH_MAX], page[65536];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 1;
  path[length] = 0;
  struct stat about;
  if (!kept(path, copy) || fstat(file, &about) || !S_ISREG(about.st_mode)) return 1;
  int from = open(path, O_RDONLY | O_CLOEXEC); /* the file may be open for writing alone */
  if (from < 0) return 1;                      /* removed meanwhile */
  int to = open(copy, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (to < 0 || flock(to, LOCK_EX)) { /* one at a time: an older state must not overwrite a newer one */
    close(from);
    return -1;
  }
  off_t place = 0;
  ssize_t got;
  int result = 0;
  while ((got = pread(from, page, sizeof page, place)) > 0) {
    char old[sizeof page];
    if (pread(to, old, got, place) != got || memcmp(old, page, got))
      if (pwrite(to, page, got, place) != got) result = -1;
    place += got;
  }
  if (got < 0 || ftruncate(to, place)) result = -1;
  close(to);
  close(from);
  return result;
}

static int synced(int file, const char *name) {
  int ours = keep(file);
  if (ours < 0) {
    errno = EIO;
    return -1;
  }
  return ours == 1 ? REAL(name, int, int)(file) : 0;
}

int fsync(int file) { return synced(file, "fsync"); }
int fdatasync(int file) { return synced(file, "fdatasync"); }

int unlink(const char *path) {
  char copy[PATH_MAX];
  int result = REAL("unlink", int, const char *)(path);
  if (!result && kept(path, copy)) REAL("unlink", int, const char *)(copy);
  return result;
}

int rename(const char *from, const char *to) {
  char old[PATH_MAX], new[PATH_MAX];
  int result = REAL("rename", int, const char *, const char *)(from, to);
  if (!result && kept(from, old) && kept(to, new)) REAL("rename", int, const char *, const char *)(old, new);
  return result;
}

int link(const char *from, const char *to) {
  char old[PATH_MAX], new[PATH_MAX];
  int result = REAL("link", int, const char *, const char *)(from, to);
  if (!result && kept(from, old) && kept(to, new)) REAL("link", int, const char *, const char *)(old, new);
  return result;
}
