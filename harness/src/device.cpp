// What `tch` does not reach: see device.rs.
#include <ATen/Context.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

extern "C" void ment_set_tf32(bool allowed) { at::globalContext().setAllowTF32CuBLAS(allowed); }

extern "C" bool ment_tf32() { return at::globalContext().allowTF32CuBLAS(); }

// Large blocks come from the heap and stay there when freed: otherwise every temporary tensor is
// fresh memory from the kernel, which has to be cleared page by page.
extern "C" void ment_keep_freed_memory() {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 2147483647);
#endif
}

extern "C" void ment_release_freed_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
