/*
 * store_hdf5.c - the life of a file (open, create, follow, commit, close) and
 * the messages of HDF5's failures.
 */
#include "store_hdf5.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "noodle/table.h"

/* Elements are mapped and written as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "files hold little-endian numbers");

enum {
    /* Every object begins a page, also the smallest vector: the map promises
     * 64-byte alignment, and a page is what the system maps. */
    ALIGN_THRESHOLD = 1,
    ALIGN_BYTES = 4096,
    /* Headers lie together in blocks of this size, so that opening a file on
     * a network file system reads few places. */
    META_BLOCK_BYTES = 1 << 20,
    /* The same of a live file, which has few headers and is often small. */
    LIVE_BLOCK_BYTES = 64 << 10,
    /* Of a header that its writer may be writing.  HDF5 doubles its pause each
     * time, from 1 ns: its 100 tries would wait for ever on a broken file. */
    READ_ATTEMPTS = 25,
    PART_NAMES = 100, /* that are tried */
    /* Up to so many attributes stay in the object's header; more than 8, the
     * default, would make a heap and a tree for each of our datasets. */
    COMPACT_ATTRIBUTES = 32
};

void ndl_store_drop(hid_t id)
{
    if (id < 0) return;
    /* Any call forgets the reason of the failure before it, which the caller
     * still has to tell. */
    const bool failed = H5Eget_num(H5E_DEFAULT) > 0;
    const hid_t reason = failed ? H5Eget_current_stack() : H5I_INVALID_HID;
    H5Idec_ref(id);
    if (reason >= 0) H5Eset_current_stack(reason);
}

/* What H5Ewalk2 visits first when it walks upward: nearest to the cause. */
static herr_t take_innermost(unsigned n, const H5E_error2_t *err, void *arg)
{
    const char **text = arg;
    if (n == 0) *text = err->desc;
    return 0;
}

/* HDF5's texts may hold a time with a line break and addresses; where the
 * system's own words are inside, those alone are shown. */
void ndl_store_reason(char *out, size_t cap)
{
    static const char mark[] = "error message = '";
    const char *text = NULL;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &text);
    if (!text || !*text) text = "unknown reason";
    const char *system = strstr(text, mark);
    size_t n = strlen(text);
    if (system) {
        text = system + sizeof mark - 1;
        n = strcspn(text, "'");
    }
    if (n >= cap) n = cap - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = iscntrl((unsigned char)text[i]) ? ' ' : text[i];
    out[n] = '\0';
}

ndl_status ndl_store_fail(const ndl_store *s, const char *verb,
                          const char *name)
{
    char why[256];
    ndl_store_reason(why, sizeof why);
    if (s->writing)
        return NDL_FAIL(NDL_EIO, "%s: cannot %s %s: %s: check the free space",
                        s->path, verb, name, why);
    return NDL_FAIL(NDL_EDATA,
                    "%s: cannot %s %s: %s: import the model again, "
                    "or write the file anew if it is no model",
                    s->path, verb, name, why);
}

ndl_status ndl_store_bad(const ndl_store *s, const char *name,
                         const char *cause)
{
    return NDL_FAIL(NDL_EDATA, "%s: %s: %s: import the model again", s->path,
                    name, cause);
}

const char *ndl_store_library(void)
{
#define TEXT2(x) #x
#define TEXT(x)  TEXT2(x)
    return "HDF5 " TEXT(H5_VERS_MAJOR) "." TEXT(H5_VERS_MINOR) "." TEXT(
        H5_VERS_RELEASE);
#undef TEXT
#undef TEXT2
}

const char *ndl_store_path(const ndl_store *s)
{
    return s->path;
}

static ndl_status allocate(ndl_store **out, const char *path)
{
    ndl_store *s = calloc(1, sizeof *s);
    if (s) s->path = strdup(path);
    if (!s || !s->path) {
        free(s);
        return NDL_FAIL(NDL_EOS, "%s: out of memory", path);
    }
    s->file = H5I_INVALID_HID;
    /* Every file is closed by us.  What the library could not write, on a full
     * disk, it would try again when the program ends, and crash there. */
    H5dont_atexit();
    /* The message is ours to store; HDF5 would print it. */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    *out = s;
    return NDL_OK;
}

/* File access: version 1.8's format (readable anywhere, headers with
 * checksums), no locks (they fail on some network file systems), and closing
 * the file closes everything in it.  Readers can follow only what has version
 * 1.10's format. */
static hid_t access_list(bool live)
{
    const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    const H5F_libver_t low = live ? H5F_LIBVER_V110 : H5F_LIBVER_V18;
    const hsize_t block = live ? LIVE_BLOCK_BYTES : META_BLOCK_BYTES;
    if (list < 0) return list;
    if (H5Pset_metadata_read_attempts(list, READ_ATTEMPTS) >= 0 &&
        H5Pset_libver_bounds(list, low, H5F_LIBVER_V110) >= 0 &&
        (live || H5Pset_alignment(list, ALIGN_THRESHOLD, ALIGN_BYTES) >= 0) &&
        H5Pset_meta_block_size(list, block) >= 0 &&
        H5Pset_file_locking(list, false, true) >= 0 &&
        H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) >= 0)
        return list;
    ndl_store_drop(list);
    return H5I_INVALID_HID;
}

/* Name the plain faults before HDF5 sees the file, in plain words. */
static ndl_status check_file(const char *path, uint64_t *bytes)
{
    /* Non-blocking, so that a pipe does not wait for its writer. */
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return ndl_file_fail(path, "open", errno);
    struct stat st;
    const int rc = fstat(fd, &st);
    const int err = errno;
    close(fd);
    if (rc != 0) return ndl_file_fail(path, "open", err);
    if (S_ISDIR(st.st_mode))
        return NDL_FAIL(NDL_EDATA,
                        "%s: is a folder: give the path of the .h5 file", path);
    if (!S_ISREG(st.st_mode))
        return NDL_FAIL(NDL_EDATA,
                        "%s: is not a regular file: give the path of the .h5 "
                        "file",
                        path);
    if (st.st_size == 0)
        return NDL_FAIL(NDL_EDATA, "%s: is empty: import the model again",
                        path);
    *bytes = (uint64_t)st.st_size;
    return NDL_OK;
}

/* True if somebody writes a live file, or was killed at it: then it opens only
 * for readers that follow.  Asked of the superblock itself (format 3:
 * byte 11, the flags), because HDF5 takes its time over a try in vain. */
static bool is_written(const char *path)
{
    enum { VERSION_AT = 8, FLAGS_AT = 11, FLAG_FOLLOW = 1 << 2 };
    unsigned char head[FLAGS_AT + 1] = { 0 };
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool whole = read(fd, head, sizeof head) == (ssize_t)sizeof head;
    close(fd);
    return whole && head[VERSION_AT] == 3 && head[FLAGS_AT] & FLAG_FOLLOW;
}

static ndl_status open_hdf5(ndl_store *s)
{
    if (H5Fis_hdf5(s->path) <= 0)
        return NDL_FAIL(NDL_EDATA,
                        "%s: is not an HDF5 file: import the model again",
                        s->path);
    s->followed = is_written(s->path);
    const hid_t access = access_list(s->followed);
    const unsigned how = s->followed ? H5F_ACC_SWMR_READ : 0;
    if (access >= 0) s->file = H5Fopen(s->path, H5F_ACC_RDONLY | how, access);
    ndl_store_drop(access);
    if (s->file < 0) return ndl_store_fail(s, "open", "the HDF5 file");
    return NDL_OK;
}

ndl_status ndl_store_open(ndl_store **out, const char *path)
{
    ndl_store *s = NULL;
    uint64_t bytes = 0;
    NDL_TRY(check_file(path, &bytes));
    NDL_TRY(allocate(&s, path));
    s->file_bytes = bytes;
    const ndl_status st = open_hdf5(s);
    if (st == NDL_OK)
        *out = s;
    else
        ndl_store_close(&s);
    return st;
}

static ndl_status create_hdf5(ndl_store *s)
{
    const hid_t access = access_list(s->live);
    const hid_t create = H5Pcreate(H5P_FILE_CREATE);
    /* No times inside: equal content gives equal bytes. */
    if (access >= 0 && create >= 0 &&
        H5Pset_obj_track_times(create, false) >= 0 &&
        H5Pset_attr_phase_change(create, COMPACT_ATTRIBUTES,
                                 COMPACT_ATTRIBUTES / 2) >= 0)
        s->file = H5Fcreate(s->part.part_path, H5F_ACC_TRUNC, create, access);
    ndl_store_drop(create);
    ndl_store_drop(access);
    if (s->file < 0) return ndl_store_fail(s, "create", "the HDF5 file");
    return NDL_OK;
}

ndl_status ndl_store_create(ndl_store **out, const char *path)
{
    ndl_store *s = NULL;
    struct stat old;
    if (stat(path, &old) == 0 && S_ISDIR(old.st_mode))
        return NDL_FAIL(NDL_ECREATE,
                        "%s: is a folder: give the path of a file to write",
                        path);
    NDL_TRY(allocate(&s, path));
    s->writing = true;
    ndl_status st = ndl_file_part_open(&s->part, path);
    if (st == NDL_OK) st = create_hdf5(s);
    if (st == NDL_OK)
        *out = s;
    else
        ndl_store_close(&s);
    return st;
}

/* Reserve a name of our own beside the file.  Several jobs may be started in
 * one folder: none may open what another has just made.
 * @return false with errno. */
static bool make_part(ndl_store *s)
{
    const size_t cap = strlen(s->path) + 64;
    char *name = malloc(cap);
    int fd = -1;
    errno = ENOMEM;
    for (int i = 0; name && i < PART_NAMES && fd < 0; i++) {
        snprintf(name, cap, "%s.%ld-%d.part", s->path, (long)getpid(), i);
        fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd < 0) {
        const int err = errno;
        free(name);
        errno = err;
        return false;
    }
    close(fd);
    s->part.part_path = name;
    return true;
}

static ndl_status create_live(ndl_store *s)
{
    struct stat old;
    s->writing = s->live = true;
    if (stat(s->path, &old) == 0 && !S_ISREG(old.st_mode))
        return NDL_FAIL(NDL_ECREATE,
                        "%s: is not a regular file: give the path of a file "
                        "to write",
                        s->path);
    if (make_part(s)) return create_hdf5(s);
    const int err = errno;
    return NDL_FAIL(err == EACCES || err == EPERM ? NDL_EPERM : NDL_ECREATE,
                    "%s: cannot create: %s: check the folder", s->path,
                    strerror(err));
}

ndl_status ndl_store_create_live(ndl_store **out, const char *path)
{
    ndl_store *s = NULL;
    NDL_TRY(allocate(&s, path));
    const ndl_status st = create_live(s);
    if (st == NDL_OK)
        *out = s;
    else
        ndl_store_close(&s);
    return st;
}

ndl_status ndl_store_follow(ndl_store *s)
{
    NDL_ASSERT(s->live && !s->followed);
    if (H5Fstart_swmr_write(s->file) < 0)
        return ndl_store_fail(s, "let readers follow", "the HDF5 file");
    /* Now it has all that a reader may ask for.  Who reads an older file of
     * this name keeps that one. */
    if (rename(s->part.part_path, s->path) != 0)
        return ndl_file_fail(s->path, "rename the file to it", errno);
    free(s->part.part_path);
    s->part.part_path = NULL;
    s->followed = true;
    return NDL_OK;
}

ndl_status ndl_store_flush(ndl_store *s)
{
    NDL_ASSERT(s->writing);
    if (H5Fflush(s->file, H5F_SCOPE_LOCAL) >= 0) return NDL_OK;
    s->broken = s->followed;
    return ndl_store_fail(s, "write", "the HDF5 file");
}

ndl_status ndl_store_commit(ndl_store **s)
{
    ndl_store *f = *s;
    NDL_ASSERT(f->writing);
    /* A flush of its own, because a close that fails to write may leave the
     * file open inside the library. */
    ndl_status st = f->broken
                        ? NDL_FAIL(NDL_EIO,
                                   "%s: not all of it could be written: check "
                                   "the free space",
                                   f->path)
                        : ndl_store_flush(f);
    if (!f->broken && H5Fclose(f->file) < 0 && st == NDL_OK)
        st = ndl_store_fail(f, "close", "the HDF5 file");
    f->file = H5I_INVALID_HID;
    /* The part's own stream wrote nothing: it is there for fsync and rename. */
    if (st == NDL_OK && !f->live) st = ndl_file_part_commit(&f->part);
    ndl_store_close(s);
    return st;
}

void ndl_store_close(ndl_store **s)
{
    if (!*s) return;
    /* Closing a broken file would mark as whole what is not: it stays as if we
     * were killed here, and readers find in it what was flushed before. */
    if ((*s)->file >= 0 && !(*s)->broken) H5Fclose((*s)->file);
    ndl_file_part_discard(&(*s)->part);
    free((*s)->path);
    free(*s);
    *s = NULL;
}
