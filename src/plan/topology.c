/*
 * topology.c - see topology.h; the only file that knows hwloc.
 *
 * hwloc sees the whole node, also processors and memory that a control group
 * keeps from this process; what is allowed is asked for apart.
 */
#include "noodle/topology.h"

#include <hwloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"

/* Counts of a set of processors. */
static int count_inside(hwloc_topology_t t, hwloc_obj_type_t type,
                        hwloc_const_cpuset_t set)
{
    const int n = hwloc_get_nbobjs_by_type(t, type);
    int inside = 0;
    for (int i = 0; i < n; i++) {
        hwloc_obj_t o = hwloc_get_obj_by_type(t, type, (unsigned)i);
        if (o && o->cpuset && hwloc_bitmap_intersects(o->cpuset, set)) inside++;
    }
    return inside;
}

static int count_all(hwloc_topology_t t, hwloc_obj_type_t type)
{
    const int n = hwloc_get_nbobjs_by_type(t, type);
    return n > 0 ? n : 0; /* negative: at several depths */
}

/* Some virtual machines name no packages or cores. */
static void read_processors(ndl_topology *out, hwloc_topology_t t,
                            hwloc_const_cpuset_t mine)
{
    out->n_packages = count_all(t, HWLOC_OBJ_PACKAGE);
    out->n_pus = count_all(t, HWLOC_OBJ_PU);
    out->n_pus_allowed = count_inside(t, HWLOC_OBJ_PU, mine);
    out->n_cores = count_all(t, HWLOC_OBJ_CORE);
    out->n_cores_allowed = count_inside(t, HWLOC_OBJ_CORE, mine);
    if (out->n_packages == 0) out->n_packages = 1;
    if (out->n_cores == 0) {
        out->n_cores = out->n_pus;
        out->n_cores_allowed = out->n_pus_allowed;
    }
}

/* Memory that was added to a running machine may be on no node. */
static void read_memory(ndl_topology *out, hwloc_topology_t t)
{
    const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    if (!hwloc_topology_is_thissystem(t) || pages <= 0 || bytes <= 0) return;
    const uint64_t all = (uint64_t)pages * (uint64_t)bytes;
    if (out->memory_bytes < all) out->memory_bytes = all;
}

static void read_numa(ndl_topology *out, hwloc_topology_t t,
                      hwloc_const_cpuset_t mine)
{
    hwloc_const_nodeset_t allowed = hwloc_topology_get_allowed_nodeset(t);
    out->n_numa = count_all(t, HWLOC_OBJ_NUMANODE);
    for (int i = 0; i < out->n_numa; i++) {
        hwloc_obj_t o =
            hwloc_get_obj_by_type(t, HWLOC_OBJ_NUMANODE, (unsigned)i);
        const uint64_t bytes = o->attr->numanode.local_memory;
        if (i < NDL_TOPOLOGY_NUMA) out->numa_bytes[i] = bytes;
        out->memory_bytes += bytes;
        if (hwloc_bitmap_intersects(o->cpuset, mine) &&
            hwloc_bitmap_isset(allowed, (int)o->os_index))
            out->n_numa_allowed++;
    }
}

/* Of the first cache that this process may use; 0 if there is none. */
static uint64_t read_cache(hwloc_topology_t t, hwloc_obj_type_t type,
                           hwloc_const_cpuset_t mine, int32_t *sharing)
{
    const int n = count_all(t, type);
    for (int i = 0; i < n; i++) {
        hwloc_obj_t o = hwloc_get_obj_by_type(t, type, (unsigned)i);
        if (!hwloc_bitmap_intersects(o->cpuset, mine)) continue;
        *sharing = hwloc_bitmap_weight(o->cpuset);
        return o->attr->cache.size;
    }
    *sharing = 0;
    return 0;
}

static void read_caches(ndl_topology *out, hwloc_topology_t t,
                        hwloc_const_cpuset_t mine)
{
    int32_t alone;
    out->l1d_bytes = read_cache(t, HWLOC_OBJ_L1CACHE, mine, &alone);
    out->l2_bytes = read_cache(t, HWLOC_OBJ_L2CACHE, mine, &out->l2_sharing);
    out->l3_bytes = read_cache(t, HWLOC_OBJ_L3CACHE, mine, &out->l3_sharing);
}

static void read_model(ndl_topology *out, hwloc_topology_t t)
{
    const char *name = NULL;
    hwloc_obj_t package = hwloc_get_obj_by_type(t, HWLOC_OBJ_PACKAGE, 0);
    if (package) name = hwloc_obj_get_info_by_name(package, "CPUModel");
    if (!name)
        name = hwloc_obj_get_info_by_name(hwloc_get_root_obj(t), "CPUModel");
    snprintf(out->cpu_model, sizeof out->cpu_model, "%s",
             name && name[0] ? name : "unknown");
}

/* ---- GPUs ---- */

enum {
    CLASS_DISPLAY = 0x03,     /* upper byte of a PCI class      */
    CLASS_ACCELERATOR = 0x12, /* counts with an OS device only  */
    VENDOR_ASPEED = 0x1a03,
    VENDOR_MATROX = 0x102b,
    VENDOR_BOCHS = 0x1234
};

/* Screens of management controllers and of virtual machines compute nothing.*/
static bool is_screen(hwloc_obj_t pci)
{
    const unsigned vendor = pci->attr->pcidev.vendor_id;
    return vendor == VENDOR_ASPEED || vendor == VENDOR_MATROX ||
           vendor == VENDOR_BOCHS;
}

static bool is_gpu_device(hwloc_obj_t os)
{
    return os->attr->osdev.type == HWLOC_OBJ_OSDEV_GPU ||
           os->attr->osdev.type == HWLOC_OBJ_OSDEV_COPROC;
}

/* The first OS device below a PCI device that is a GPU, or NULL. */
static hwloc_obj_t gpu_device_of(hwloc_obj_t pci)
{
    for (hwloc_obj_t o = pci->io_first_child; o; o = o->next_sibling)
        if (o->type == HWLOC_OBJ_OS_DEVICE && is_gpu_device(o)) return o;
    return NULL;
}

/* Libraries of vendors tell the memory in KiB, each by a name of its own. */
static uint64_t gpu_bytes(hwloc_obj_t os)
{
    static const char *const names[] = { "CUDAGlobalMemorySize", "RSMIVRAMSize",
                                         "OpenCLGlobalMemorySize",
                                         "LevelZeroHBMSize",
                                         "LevelZeroDDRSize" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = hwloc_obj_get_info_by_name(os, names[i]);
        const unsigned long long kib = text ? strtoull(text, NULL, 10) : 0;
        if (kib > 0 && kib < 1ull << 50) return kib * 1024;
    }
    return 0;
}

static const char *first_info(hwloc_obj_t o, const char *const *names)
{
    for (; o && *names; names++) {
        const char *text = hwloc_obj_get_info_by_name(o, *names);
        if (text && text[0]) return text;
    }
    return NULL;
}

/* What the vendor's library, the list of PCI names, or the numbers say. */
static void name_gpu(char *out, size_t cap, hwloc_obj_t pci, hwloc_obj_t os)
{
    static const char *const models[] = { "GPUModel", "OpenCLDeviceName",
                                          "LevelZeroModel", "Model", NULL };
    const char *model = NULL;
    for (hwloc_obj_t o = pci ? pci->io_first_child : os; o && !model;
         o = pci ? o->next_sibling : NULL)
        model = first_info(o, models);
    if (!model && pci) {
        const char *device = hwloc_obj_get_info_by_name(pci, "PCIDevice");
        const char *vendor = hwloc_obj_get_info_by_name(pci, "PCIVendor");
        if (device)
            snprintf(out, cap, "%s%s%s", vendor ? vendor : "",
                     vendor ? " " : "", device);
        else
            snprintf(out, cap, "PCI %04x:%04x", pci->attr->pcidev.vendor_id,
                     pci->attr->pcidev.device_id);
        return;
    }
    if (!model) model = os && os->name ? os->name : "unknown";
    snprintf(out, cap, "%s", model);
}

static void add_gpu(ndl_topology *out, hwloc_obj_t pci, hwloc_obj_t os)
{
    const int at = out->n_gpus++;
    if (at >= NDL_TOPOLOGY_GPUS) return;
    name_gpu(out->gpus[at].name, sizeof out->gpus[at].name, pci, os);
    for (hwloc_obj_t o = pci ? pci->io_first_child : os; o;
         o = pci ? o->next_sibling : NULL) {
        const uint64_t bytes = gpu_bytes(o);
        if (bytes > out->gpus[at].memory_bytes)
            out->gpus[at].memory_bytes = bytes;
    }
}

static hwloc_obj_t pci_above(hwloc_obj_t o)
{
    while (o && o->type != HWLOC_OBJ_PCI_DEVICE) o = o->parent;
    return o;
}

/* A GPU is a PCI device, however many devices the system and the libraries of
 * vendors make of it; without PCI (it is part of the processor's bus) it is
 * what the system names. */
static void read_gpus(ndl_topology *out, hwloc_topology_t t)
{
    hwloc_obj_t o = NULL;
    while ((o = hwloc_get_next_pcidev(t, o))) {
        const int kind = o->attr->pcidev.class_id >> 8;
        hwloc_obj_t os = gpu_device_of(o);
        if (is_screen(o)) continue;
        if (kind == CLASS_DISPLAY || (kind == CLASS_ACCELERATOR && os))
            add_gpu(out, o, os);
    }
    while ((o = hwloc_get_next_osdev(t, o)))
        if (o->attr->osdev.type == HWLOC_OBJ_OSDEV_GPU && !pci_above(o))
            add_gpu(out, NULL, o);
}

/* ---- all of it ---- */

/* Processors that the group and the affinity leave to this process. */
static ndl_status read_mine(hwloc_topology_t t, hwloc_cpuset_t mine)
{
    if (hwloc_get_cpubind(t, mine, HWLOC_CPUBIND_PROCESS) != 0 ||
        hwloc_bitmap_iszero(mine))
        hwloc_bitmap_copy(mine, hwloc_topology_get_allowed_cpuset(t));
    hwloc_bitmap_and(mine, mine, hwloc_topology_get_allowed_cpuset(t));
    if (hwloc_bitmap_iszero(mine))
        return NDL_FAIL(NDL_EOS, "hwloc: this process may use no processor: "
                                 "check HWLOC_* in the environment");
    return NDL_OK;
}

static ndl_status read_loaded(ndl_topology *out, hwloc_topology_t t)
{
    ndl_topology found = { .n_gpus = 0 };
    hwloc_cpuset_t mine = hwloc_bitmap_alloc();
    if (!mine) return NDL_FAIL(NDL_EOS, "hwloc: out of memory");
    const ndl_status st = read_mine(t, mine);
    if (st == NDL_OK) {
        read_model(&found, t);
        read_processors(&found, t, mine);
        read_numa(&found, t, mine);
        read_memory(&found, t);
        read_caches(&found, t, mine);
        read_gpus(&found, t);
        const uint64_t limit = ndl_cgroup_limit();
        found.cgroup_bytes = limit == UINT64_MAX ? 0 : limit;
        *out = found;
    }
    hwloc_bitmap_free(mine);
    return st;
}

ndl_status ndl_topology_read(ndl_topology *out)
{
    hwloc_topology_t t;
    if (hwloc_topology_init(&t) != 0)
        return NDL_FAIL(NDL_EOS, "hwloc: out of memory");
    ndl_status st = NDL_OK;
    /* Displays tell nothing of use, and asking them goes through X servers. */
    (void)hwloc_topology_set_components(
        t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "gl");
    if (hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) !=
            0 ||
        hwloc_topology_set_io_types_filter(
            t, HWLOC_TYPE_FILTER_KEEP_IMPORTANT) != 0 ||
        hwloc_topology_load(t) != 0)
        st = NDL_FAIL(NDL_EOS, "hwloc: cannot read the machine: check /sys "
                               "and HWLOC_* in the environment");
    if (st == NDL_OK) st = read_loaded(out, t);
    hwloc_topology_destroy(t);
    return st;
}

const char *ndl_topology_library(void)
{
    static char text[32];
    const unsigned v = hwloc_get_api_version();
    snprintf(text, sizeof text, "hwloc %u.%u.%u", v >> 16, (v >> 8) & 255,
             v & 255);
    return text;
}
