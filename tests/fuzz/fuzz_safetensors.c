/* fuzz_safetensors.c - a header behind 8 bytes that tell how much data there
 * would be. */
#include <string.h>

#include "../../src/formats/safetensors.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ndl_tensor_list list = { 0 };
    uint64_t bytes = 0, covered = 0;
    if (size < sizeof bytes) return 0;
    memcpy(&bytes, data, sizeof bytes);
    ndl_status_clear();
    const ndl_status st =
        ndl_tensor_list_parse(&list, (const char *)data + sizeof bytes,
                              size - sizeof bytes, bytes, "x.safetensors");
    for (size_t i = 0; i < list.n && st == NDL_OK; i++) {
        NDL_ASSERT(list.items[i].offset == covered);
        covered += list.items[i].bytes;
    }
    NDL_ASSERT(st == NDL_OK ? covered == bytes
                            : ndl_status_message()[0] != '\0');
    ndl_tensor_list_fini(&list);
    return 0;
}
