/*
 * test_topology.c - facts about what is told of a node: of made-up ones, which
 * hwloc takes from its environment, and of this one.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/plan/cgroup.h"
#include "noodle/topology.h"

static ndl_topology read_now(void)
{
    ndl_topology t;
    memset(&t, 0x5a, sizeof t);
    assert_int_equal(ndl_topology_read(&t), NDL_OK);
    assert_string_equal(ndl_status_message(), "");
    return t;
}

static ndl_topology read_synthetic(const char *description)
{
    setenv("HWLOC_SYNTHETIC", description, 1);
    const ndl_topology t = read_now();
    unsetenv("HWLOC_SYNTHETIC");
    return t;
}

/* ---- a node as XML: two packages of two cores with two processors ---- */

typedef struct node {
    const char *allowed; /* processors of 0x00 .. 0xff        */
    const char *devices; /* objects below the machine         */
    const char *model;   /* of the processors                 */
} node;

enum { XML_CAP = 16384 };

static void add_object(char *xml, const char *begin, const char *attributes,
                       unsigned cpus, unsigned nodes)
{
    const size_t at = strlen(xml);
    static int id = 10;
    snprintf(xml + at, XML_CAP - at,
             "<object type=\"%s\" cpuset=\"0x%x\" complete_cpuset=\"0x%x\" "
             "nodeset=\"0x%x\" complete_nodeset=\"0x%x\" gp_index=\"%d\" %s>\n",
             begin, cpus, cpus, nodes, nodes, id++, attributes);
}

static void add_text(char *xml, const char *text)
{
    strncat(xml, text, XML_CAP - strlen(xml) - 1);
}

static void add_package(char *xml, int p, const char *model)
{
    char attributes[256];
    const unsigned home = 1u << p, all = 0xfu << 4 * p;
    snprintf(attributes, sizeof attributes, "os_index=\"%d\"", p);
    add_object(xml, "Package", attributes, all, home);
    snprintf(attributes, sizeof attributes,
             "<info name=\"CPUModel\" value=\"%s\"/>\n", model);
    add_text(xml, attributes);
    snprintf(attributes, sizeof attributes,
             "os_index=\"%d\" local_memory=\"%llu\"", p,
             (1ull + (unsigned)p) << 30);
    add_object(xml, "NUMANode", attributes, all, home);
    add_text(xml, "</object>\n");
    for (int core = 2 * p; core < 2 * p + 2; core++) {
        const unsigned pair = 3u << 2 * core;
        add_object(xml, "L2Cache",
                   "cache_size=\"2097152\" depth=\"2\" cache_linesize=\"64\" "
                   "cache_associativity=\"8\" cache_type=\"0\"",
                   pair, home);
        add_object(xml, "L1Cache",
                   "cache_size=\"49152\" depth=\"1\" cache_linesize=\"64\" "
                   "cache_associativity=\"8\" cache_type=\"1\"",
                   pair, home);
        snprintf(attributes, sizeof attributes, "os_index=\"%d\"", core);
        add_object(xml, "Core", attributes, pair, home);
        for (int pu = 2 * core; pu < 2 * core + 2; pu++) {
            snprintf(attributes, sizeof attributes, "os_index=\"%d\"", pu);
            add_object(xml, "PU", attributes, 1u << pu, home);
            add_text(xml, "</object>\n");
        }
        add_text(xml, "</object></object></object>\n");
    }
    add_text(xml, "</object>\n");
}

static ndl_topology read_xml(const node *n)
{
    static char xml[XML_CAP];
    char path[] = "/tmp/noodle_topology_XXXXXX", attributes[128];
    snprintf(xml, sizeof xml,
             "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
             "<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
             "<topology version=\"2.0\">\n");
    snprintf(attributes, sizeof attributes,
             "os_index=\"0\" allowed_cpuset=\"%s\" allowed_nodeset=\"0x3\"",
             n->allowed);
    add_object(xml, "Machine", attributes, 0xff, 3);
    for (int p = 0; p < 2; p++) add_package(xml, p, n->model);
    add_text(xml, n->devices);
    add_text(xml, "</object>\n</topology>\n");
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, xml, strlen(xml)), strlen(xml));
    close(fd);
    setenv("HWLOC_XMLFILE", path, 1);
    const ndl_topology t = read_now();
    unsetenv("HWLOC_XMLFILE");
    unlink(path);
    return t;
}

#define BRIDGE                                                                 \
    "<object type=\"Bridge\" gp_index=\"900\" bridge_type=\"0-1\" "            \
    "depth=\"0\" bridge_pci=\"0000:[00-20]\">\n"
#define PCI(id, bus, type)                                                     \
    "<object type=\"PCIDev\" gp_index=\"" id "\" pci_busid=\"0000:" bus        \
    ":00.0\" pci_type=\"" type "\" pci_link_speed=\"0.000000\">\n"
#define OS(id, name, type)                                                     \
    "<object type=\"OSDev\" gp_index=\"" id "\" name=\"" name                  \
    "\" osdev_type=\"" type "\">\n"
#define INFO(name, value) "<info name=\"" name "\" value=\"" value "\"/>\n"
#define END               "</object>\n"

/* ---- facts ---- */

static void packages_cores_and_processors_are_counted(void **state)
{
    (void)state;
    const ndl_topology t = read_synthetic("pack:2 l3:2 l2:4 l1d:1 core:1 pu:2");
    assert_int_equal(t.n_packages, 2);
    assert_int_equal(t.n_cores, 16);
    assert_int_equal(t.n_pus, 32);
    assert_int_equal(t.n_cores_allowed, 16);
    assert_int_equal(t.n_pus_allowed, 32);
    assert_int_equal(t.n_gpus, 0);
    assert_string_equal(t.cpu_model, "unknown");
}

static void caches_tell_their_size_and_who_shares_them(void **state)
{
    (void)state;
    const ndl_topology t =
        read_synthetic("pack:2 l3:2(size=33554432) l2:4(size=1048576) "
                       "l1d:1(size=32768) core:1 pu:2");
    assert_int_equal(t.l1d_bytes, 32 << 10);
    assert_int_equal(t.l2_bytes, 1 << 20);
    assert_int_equal(t.l3_bytes, 32 << 20);
    assert_int_equal(t.l2_sharing, 2);
    assert_int_equal(t.l3_sharing, 8);
}

static void a_node_without_caches_has_none(void **state)
{
    (void)state;
    const ndl_topology t = read_synthetic("core:3 pu:1");
    assert_int_equal(t.l1d_bytes + t.l2_bytes + t.l3_bytes, 0);
    assert_int_equal(t.l2_sharing + t.l3_sharing, 0);
    assert_int_equal(t.n_cores, 3);
    assert_int_equal(t.n_packages, 1); /* none is named */
}

static void numa_nodes_have_their_memory(void **state)
{
    (void)state;
    const ndl_topology t =
        read_synthetic("pack:2 [numa(memory=3221225472)] core:4 pu:1");
    assert_int_equal(t.n_numa, 2);
    assert_int_equal(t.n_numa_allowed, 2);
    assert_true(t.numa_bytes[0] == 3ull << 30);
    assert_true(t.numa_bytes[1] == t.numa_bytes[0]);
    assert_true(t.numa_bytes[2] == 0);
    assert_true(t.memory_bytes == 6ull << 30);
}

static void more_numa_nodes_than_fit_are_counted(void **state)
{
    (void)state;
    const ndl_topology t =
        read_synthetic("pack:80 [numa(memory=1073741824)] core:1 pu:1");
    assert_int_equal(t.n_numa, 80);
    assert_true(t.numa_bytes[NDL_TOPOLOGY_NUMA - 1] == 1ull << 30);
    assert_true(t.memory_bytes == 80ull << 30);
    assert_int_equal(t.n_gpus, 0); /* what comes behind is whole */
}

static void processors_of_a_group_are_counted_apart(void **state)
{
    (void)state;
    const node n = { "0x70", "", "Made-up 9000" };
    const ndl_topology t = read_xml(&n);
    assert_string_equal(t.cpu_model, "Made-up 9000");
    assert_int_equal(t.n_packages, 2);
    assert_int_equal(t.n_pus, 8);
    assert_int_equal(t.n_pus_allowed, 3);
    assert_int_equal(t.n_cores, 4);
    assert_int_equal(t.n_cores_allowed, 2);
    assert_int_equal(t.n_numa, 2);
    assert_int_equal(t.n_numa_allowed, 1);
    assert_true(t.memory_bytes == 3ull << 30); /* of the node */
    assert_int_equal(t.l1d_bytes, 48 << 10);
    assert_int_equal(t.l3_bytes, 0);
}

static void a_long_name_is_cut(void **state)
{
    (void)state;
    char model[101];
    memset(model, 'x', 100);
    model[100] = '\0';
    const node n = { "0xff", "", model };
    const ndl_topology t = read_xml(&n);
    assert_int_equal(strlen(t.cpu_model), NDL_TOPOLOGY_TEXT - 1);
}

static void gpus_are_pci_devices_with_names_and_memory(void **state)
{
    (void)state;
    static const char devices[] = BRIDGE
        /* What the vendor's libraries know. */
        PCI("901", "01", "0302 [10de:2330] [10de:16c1] a1") INFO(
            "PCIVendor", "NVIDIA Corporation") INFO("PCIDevice", "GH100")
            OS("902", "nvml0", "1") INFO("GPUModel", "NVIDIA H100") END OS(
                "903", "cuda0", "5") INFO("CUDAGlobalMemorySize",
                                          "83886080") END END
                /* Only the list of PCI names. */
                PCI("904", "02", "0300 [1002:744c] [1002:0000] 00") INFO(
                    "PCIVendor", "AMD") INFO("PCIDevice", "Navi 31") END
                    /* Only numbers. */
                    PCI("905", "03", "0380 [1002:740f] [1002:0000] 00") END
                        /* Not called a display, but the system has a GPU for
                           it. */
                        PCI("906", "04", "1200 [1002:740c] [1002:0000] 00") OS(
                            "907", "renderD128", "1") END END
                            /* Other things. */
                            PCI("908", "05", "1200 [8086:0b25] [8086:0000] 00")
                                END PCI("909", "06",
                                        "0200 [15b3:1017] [15b3:0000] 00")
                                    OS("910", "eth0", "2") END END END;
    const node n = { "0xff", devices, "m" };
    const ndl_topology t = read_xml(&n);
    assert_int_equal(t.n_gpus, 4);
    assert_string_equal(t.gpus[0].name, "NVIDIA H100");
    assert_true(t.gpus[0].memory_bytes == 80ull << 30);
    assert_string_equal(t.gpus[1].name, "AMD Navi 31");
    assert_true(t.gpus[1].memory_bytes == 0);
    assert_string_equal(t.gpus[2].name, "PCI 1002:740f");
    assert_string_equal(t.gpus[3].name, "PCI 1002:740c");
}

static void screens_of_controllers_are_no_gpus(void **state)
{
    (void)state;
    static const char devices[] =
        BRIDGE PCI("901", "01", "0300 [1a03:2000] [1a03:2000] 41")
            OS("902", "card0", "1")
                END END PCI("903", "02", "0300 [102b:0538] [1028:0000] 00")
                    END PCI("904", "03", "0300 [1234:1111] [1af4:1100] 02")
                        END END;
    const node n = { "0xff", devices, "m" };
    assert_int_equal(read_xml(&n).n_gpus, 0);
}

static void gpus_without_pci_are_what_the_system_names(void **state)
{
    (void)state;
    static const char devices[] = OS("901", "renderD128", "1") END
        /* A library's view of the processor itself. */
        OS("902", "opencl0d0", "5") INFO("OpenCLDeviceName", "cpu") END;
    const node n = { "0xff", devices, "m" };
    const ndl_topology t = read_xml(&n);
    assert_int_equal(t.n_gpus, 1);
    assert_string_equal(t.gpus[0].name, "renderD128");
}

static void more_gpus_than_fit_are_counted(void **state)
{
    (void)state;
    char devices[4096] = BRIDGE;
    for (int i = 0; i < NDL_TOPOLOGY_GPUS + 3; i++) {
        const size_t at = strlen(devices);
        snprintf(devices + at, sizeof devices - at,
                 "<object type=\"PCIDev\" gp_index=\"%d\" "
                 "pci_busid=\"0000:%02x:00.0\" pci_type=\"0302 [10de:%04x] "
                 "[0000:0000] 00\" pci_link_speed=\"0\"/>\n",
                 901 + i, i + 1, i);
    }
    strcat(devices, END);
    const node n = { "0xff", devices, "m" };
    const ndl_topology t = read_xml(&n);
    assert_int_equal(t.n_gpus, NDL_TOPOLOGY_GPUS + 3);
    assert_string_equal(t.gpus[NDL_TOPOLOGY_GPUS - 1].name, "PCI 10de:000f");
}

static void an_unreadable_node_is_an_error(void **state)
{
    (void)state;
    ndl_topology t;
    memset(&t, 0x5a, sizeof t);
    setenv("HWLOC_XMLFILE", "/nowhere/at/all.xml", 1);
    setenv("HWLOC_COMPONENTS", "xml,stop", 1);
    setenv("HWLOC_HIDE_ERRORS", "2", 1);
    const ndl_status st = ndl_topology_read(&t);
    unsetenv("HWLOC_XMLFILE");
    unsetenv("HWLOC_COMPONENTS");
    assert_int_equal(st, NDL_EOS);
    assert_non_null(strstr(ndl_status_message(), "hwloc"));
    for (size_t i = 0; i < sizeof t; i++)
        assert_int_equal(((unsigned char *)&t)[i], 0x5a);
    ndl_status_clear();
}

static void this_node_is_read_as_the_system_tells_it(void **state)
{
    (void)state;
    const ndl_topology t = read_now();
    cpu_set_t mine;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    assert_int_equal(t.n_pus_allowed, CPU_COUNT(&mine));
    assert_int_equal(t.n_pus, sysconf(_SC_NPROCESSORS_ONLN));
    assert_true(t.n_packages >= 1 && t.n_cores >= t.n_packages);
    assert_true(t.n_cores_allowed >= 1 && t.n_cores_allowed <= t.n_cores);
    assert_true(t.n_numa >= 1 && t.n_numa_allowed >= 1);
    const uint64_t all =
        (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    assert_true(t.memory_bytes >= all && t.memory_bytes <= 2 * all);
    assert_true(strlen(t.cpu_model) > 0);
    assert_true(t.n_gpus >= 0);
}

static void narrower_affinity_is_seen(void **state)
{
    (void)state;
    cpu_set_t before, one;
    int first = 0;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    while (!CPU_ISSET(first, &before)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    const ndl_topology t = read_now();
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(t.n_pus_allowed, 1);
    assert_int_equal(t.n_cores_allowed, 1);
    assert_int_equal(t.n_pus, sysconf(_SC_NPROCESSORS_ONLN));
}

static void what_a_group_leaves_is_within_its_limit(void **state)
{
    (void)state;
    const uint64_t limit = ndl_cgroup_limit();
    const ndl_topology t = read_now();
    assert_true(ndl_cgroup_left() <= limit);
    assert_true(t.cgroup_bytes == (limit == UINT64_MAX ? 0 : limit));
}

static void library_names_itself(void **state)
{
    (void)state;
    assert_memory_equal(ndl_topology_library(), "hwloc 2.", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packages_cores_and_processors_are_counted),
        cmocka_unit_test(caches_tell_their_size_and_who_shares_them),
        cmocka_unit_test(a_node_without_caches_has_none),
        cmocka_unit_test(numa_nodes_have_their_memory),
        cmocka_unit_test(more_numa_nodes_than_fit_are_counted),
        cmocka_unit_test(processors_of_a_group_are_counted_apart),
        cmocka_unit_test(a_long_name_is_cut),
        cmocka_unit_test(gpus_are_pci_devices_with_names_and_memory),
        cmocka_unit_test(screens_of_controllers_are_no_gpus),
        cmocka_unit_test(gpus_without_pci_are_what_the_system_names),
        cmocka_unit_test(more_gpus_than_fit_are_counted),
        cmocka_unit_test(an_unreadable_node_is_an_error),
        cmocka_unit_test(this_node_is_read_as_the_system_tells_it),
        cmocka_unit_test(narrower_affinity_is_seen),
        cmocka_unit_test(what_a_group_leaves_is_within_its_limit),
        cmocka_unit_test(library_names_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
