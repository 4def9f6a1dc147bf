/* Preloaded into a process, it lets one kind of call on the files of a store fail with EIO, for as long as the file
 * that $FAILING names holds the name of that call. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *call, int fd) {
    char link[64], target[4096], wanted[32] = "";
    const char *path = getenv("FAILING");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (path == NULL || length < 0) return 0;
    target[length] = 0;
    if (strstr(target, "store.db") == NULL) return 0;
    int told = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (told < 0) return 0;
    length = syscall(SYS_read, told, wanted, sizeof wanted - 1);
    close(told);
    if (length < 0 || strcmp(wanted, call) != 0) return 0;
    errno = EIO;
    return 1;
}

#define AT_OFFSET(name, kind, number, buffer, offset_kind)                          \
    ssize_t name(int fd, buffer at, size_t size, offset_kind offset) {              \
        return fails(kind, fd) ? -1 : syscall(number, fd, at, size, offset);        \
    }
#define SYNC(name, number) \
    int name(int fd) { return fails("fsync", fd) ? -1 : syscall(number, fd); }

AT_OFFSET(pwrite, "write", SYS_pwrite64, const void *, off_t)
AT_OFFSET(pwrite64, "write", SYS_pwrite64, const void *, off64_t)
AT_OFFSET(pread, "read", SYS_pread64, void *, off_t)
AT_OFFSET(pread64, "read", SYS_pread64, void *, off64_t)
SYNC(fsync, SYS_fsync)
SYNC(fdatasync, SYS_fdatasync)
