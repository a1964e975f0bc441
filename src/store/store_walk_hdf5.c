/*
 * store_walk_hdf5.c - the tree of names: finding, opening, making groups and
 * visiting.
 */
#include <ctype.h>
#include <string.h>

#include "store_hdf5.h"

enum {
    NAME_MAX_BYTES = 512, /* of an absolute name, with the final zero */
    /* A hostile file may link a group into itself: so deep and so many. */
    DEPTH_MAX = 8,
    VISITS_MAX = 1 << 20
};

/* True if the link `path` itself is there and leads to an object of this
 * file. */
static bool is_hard_link(hid_t file, const char *path)
{
    H5L_info_t info;
    return H5Lexists(file, path, H5P_DEFAULT) > 0 &&
           H5Lget_info(file, path, &info, H5P_DEFAULT) >= 0 &&
           info.type == H5L_TYPE_HARD;
}

/* True if every link on the way to `name` is. */
static bool is_inside(hid_t file, const char *name)
{
    char path[NAME_MAX_BYTES];
    const size_t n = strlen(name);
    NDL_ASSERT(name[0] == '/');
    if (n >= sizeof path) return false;
    if (n == 1) return true;
    memcpy(path, name, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        path[i] = '\0';
        if (!is_hard_link(file, path)) return false;
        path[i] = name[i];
    }
    return true;
}

ndl_status ndl_store_object(const ndl_store *s, const char *name, hid_t *out)
{
    if (!is_inside(s->file, name)) return ndl_store_bad(s, name, "is missing");
    const hid_t id = H5Oopen(s->file, name, H5P_DEFAULT);
    if (id < 0) return ndl_store_fail(s, "open", name);
    const H5I_type_t kind = H5Iget_type(id);
    if (kind != H5I_DATASET && kind != H5I_GROUP) {
        ndl_store_drop(id);
        return ndl_store_bad(s, name, "is neither a group nor a dataset");
    }
    *out = id;
    return NDL_OK;
}

ndl_status ndl_store_dataset(const ndl_store *s, const char *name, hid_t *out)
{
    hid_t id = H5I_INVALID_HID;
    NDL_TRY(ndl_store_object(s, name, &id));
    if (H5Iget_type(id) != H5I_DATASET) {
        ndl_store_drop(id);
        return ndl_store_bad(s, name, "is not a dataset");
    }
    *out = id;
    return NDL_OK;
}

bool ndl_store_has(ndl_store *s, const char *name)
{
    H5O_info_t info;
    if (!is_inside(s->file, name)) return false;
    if (H5Oget_info_by_name2(s->file, name, &info, H5O_INFO_BASIC,
                             H5P_DEFAULT) < 0)
        return false;
    return info.type == H5O_TYPE_GROUP || info.type == H5O_TYPE_DATASET;
}

static ndl_status make_one_group(ndl_store *s, const char *path)
{
    const hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    hid_t id = H5I_INVALID_HID;
    if (list >= 0 && H5Pset_obj_track_times(list, false) >= 0)
        id = H5Gcreate2(s->file, path, H5P_DEFAULT, list, H5P_DEFAULT);
    ndl_store_drop(list);
    if (id < 0) return ndl_store_fail(s, "make the group", path);
    ndl_store_drop(id);
    return NDL_OK;
}

ndl_status ndl_store_make_parents(ndl_store *s, const char *name)
{
    char path[NAME_MAX_BYTES];
    const size_t n = strlen(name);
    NDL_ASSERT(name[0] == '/' && n < sizeof path);
    for (size_t i = 1; i < n; i++) {
        if (name[i] != '/') continue;
        memcpy(path, name, i);
        path[i] = '\0';
        if (!ndl_store_has(s, path)) NDL_TRY(make_one_group(s, path));
    }
    return NDL_OK;
}

ndl_status ndl_store_make_group(ndl_store *s, const char *name)
{
    NDL_TRY(ndl_store_make_parents(s, name));
    return ndl_store_has(s, name) ? NDL_OK : make_one_group(s, name);
}

/* A walk in progress: the name grows and shrinks in place. */
typedef struct walk {
    ndl_store *s;
    ndl_status (*fn)(void *arg, const char *name);
    void *arg;
    char name[NAME_MAX_BYTES];
    int depth, visits;
} walk;

static ndl_status visit_group(walk *w);

/* The object named by w->name: call for datasets, descend into groups.  Links
 * that leave the file are passed over like any other foreign thing. */
static ndl_status visit(walk *w)
{
    H5O_info_t info;
    if (++w->visits > VISITS_MAX)
        return ndl_store_bad(w->s, w->name, "there are too many objects");
    if (!is_hard_link(w->s->file, w->name)) return NDL_OK;
    if (H5Oget_info_by_name2(w->s->file, w->name, &info, H5O_INFO_BASIC,
                             H5P_DEFAULT) < 0)
        return ndl_store_fail(w->s, "read", w->name);
    if (info.type == H5O_TYPE_DATASET) return w->fn(w->arg, w->name);
    if (info.type == H5O_TYPE_GROUP) return visit_group(w);
    return NDL_OK;
}

/* Names from the file reach the terminal inside messages. */
static bool has_control(const char *name)
{
    for (; *name; name++)
        if (iscntrl((unsigned char)*name)) return true;
    return false;
}

static ndl_status visit_children(walk *w, hid_t group)
{
    H5G_info_t info;
    const size_t base = strlen(w->name);
    const bool root = base == 1;
    if (H5Gget_info(group, &info) < 0)
        return ndl_store_fail(w->s, "list", w->name);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        char *end = w->name + base;
        if (!root) *end++ = '/';
        const size_t room = sizeof w->name - (size_t)(end - w->name);
        const ssize_t n = H5Lget_name_by_idx(
            group, ".", H5_INDEX_NAME, H5_ITER_INC, i, end, room, H5P_DEFAULT);
        ndl_status st = NDL_OK;
        if (n < 0)
            st = ndl_store_fail(w->s, "list", w->name);
        else if ((size_t)n + 1 >= room)
            st = ndl_store_bad(w->s, w->name, "a name is too long");
        else if (has_control(end))
            st = ndl_store_bad(w->s, "a dataset",
                               "its name has control characters");
        else
            st = visit(w);
        w->name[base] = '\0';
        if (st != NDL_OK) return st;
    }
    return NDL_OK;
}

static ndl_status visit_group(walk *w)
{
    hid_t group = H5I_INVALID_HID;
    if (w->depth == DEPTH_MAX)
        return ndl_store_bad(w->s, w->name, "groups are nested too deep");
    NDL_TRY(ndl_store_object(w->s, w->name, &group));
    w->depth++;
    const ndl_status st = visit_children(w, group);
    w->depth--;
    ndl_store_drop(group);
    return st;
}

ndl_status ndl_store_each(ndl_store *s, const char *group,
                          ndl_status (*fn)(void *arg, const char *name),
                          void *arg)
{
    walk w = { .s = s, .fn = fn, .arg = arg };
    NDL_ASSERT(group[0] == '/' && strlen(group) < sizeof w.name);
    memcpy(w.name, group, strlen(group) + 1);
    return visit_group(&w);
}
