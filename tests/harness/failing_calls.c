/*
 * System calls that fail as they do on a disk that is full, broken or under quota.
 *
 * To be preloaded. FAILING_CALL is write, fsync or close, FAILING_ERRNO the number that
 * it fails with, for regular files below FAILING_DIRECTORY. A write fails when the file
 * has FAILING_SIZE bytes; what fits is written, as the kernel does.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int must_fail(const char *call, int fd, struct stat *status)
{
    const char *wanted = getenv("FAILING_CALL");
    const char *directory = getenv("FAILING_DIRECTORY");
    char link[64], path[PATH_MAX];
    ssize_t length;

    if (wanted == NULL || directory == NULL || strcmp(call, wanted) != 0)
        return 0;
    if (fstat(fd, status) < 0 || !S_ISREG(status->st_mode))
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path);
    if (length < (ssize_t) strlen(directory))
        return 0;
    return strncmp(path, directory, strlen(directory)) == 0;
}

static int fail(void)
{
    errno = atoi(getenv("FAILING_ERRNO"));
    return -1;
}

ssize_t write(int fd, const void *data, size_t size)
{
    ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    struct stat status;

    if (size > 0 && must_fail("write", fd, &status)) {
        off_t room = atol(getenv("FAILING_SIZE")) - status.st_size;

        if (room <= 0)
            return fail();
        if ((size_t) room < size)
            size = room;
    }
    return next(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    ssize_t (*next)(int, const struct iovec *, int) = dlsym(RTLD_NEXT, "writev");
    struct stat status;

    /* Part by part: a short write, as the kernel makes one on a page's boundary. */
    if (must_fail("write", fd, &status))
        for (; count > 0; parts++, count--)
            if (parts->iov_len > 0)
                return write(fd, parts->iov_base, parts->iov_len);
    return next(fd, parts, count);
}

int fsync(int fd)
{
    int (*next)(int) = dlsym(RTLD_NEXT, "fsync");
    struct stat status;

    return must_fail("fsync", fd, &status) ? fail() : next(fd);
}

int close(int fd)
{
    int (*next)(int) = dlsym(RTLD_NEXT, "close");
    struct stat status;
    int is_bad = must_fail("close", fd, &status) && status.st_size > 0;
    int result = next(fd);

    return is_bad ? fail() : result;
}
