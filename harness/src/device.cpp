// The switches of libtorch's global context that `tch` does not reach; see device.rs.
#include <ATen/Context.h>

extern "C" void ment_set_tf32(bool allowed) { at::globalContext().setAllowTF32CuBLAS(allowed); }

extern "C" bool ment_tf32() { return at::globalContext().allowTF32CuBLAS(); }
