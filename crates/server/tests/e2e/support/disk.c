/* A disk that fails when told to: preloaded into a process, it lets writes and syncs of the store's files fail while
 * $DISK_SWITCHES/full or $DISK_SWITCHES/sync-fails exists. All other files work as always. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(int fd, const char *name)
{
    const char *switches = getenv("DISK_SWITCHES");
    char path[4096], file[4096];
    if (switches == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/%s", switches, name);
    if (access(path, F_OK) != 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, file, sizeof file - 1);
    if (length < 0)
        return 0;
    file[length] = '\0';
    return strstr(file, "regrant.db") != NULL;
}

#define REAL(type, name) static type real; if (real == NULL) real = (type)dlsym(RTLD_NEXT, name)

typedef ssize_t (*write_fn)(int, const void *, size_t);
typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off_t);
typedef int (*sync_fn)(int);

ssize_t write(int fd, const void *bytes, size_t count)
{
    REAL(write_fn, "write");
    if (fails(fd, "full")) { errno = ENOSPC; return -1; }
    return real(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at)
{
    REAL(pwrite_fn, "pwrite");
    if (fails(fd, "full")) { errno = ENOSPC; return -1; }
    return real(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t at)
{
    REAL(pwrite_fn, "pwrite64");
    if (fails(fd, "full")) { errno = ENOSPC; return -1; }
    return real(fd, bytes, count, at);
}

int fsync(int fd)
{
    REAL(sync_fn, "fsync");
    if (fails(fd, "sync-fails")) { errno = EIO; return -1; }
    return real(fd);
}

int fdatasync(int fd)
{
    REAL(sync_fn, "fdatasync");
    if (fails(fd, "sync-fails")) { errno = EIO; return -1; }
    return real(fd);
}
