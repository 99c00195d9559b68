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

// OpenMP threads that spin while they wait slow a run down many times over as soon as another process is
// on the cores. libgomp reads the policy while it is loaded, so it has to be in the environment before:
// functions in .preinit_array run after the loader has mapped all libraries and before any of their
// constructors, so starting the program again there costs a few milliseconds. What the user has set stays.
#if defined(__linux__) && defined(__GLIBC__)
#include <alloca.h>
#include <cstring>
#include <sys/auxv.h>
#include <unistd.h>

static bool names(const char* variable, const char* name) {
  return std::strncmp(variable, name, std::strlen(name)) == 0;
}

static void wait_passively(int, char** argv, char** environment) {
  static char passive[] = "OMP_WAIT_POLICY=passive";
  static char mark[] = "MENT_WAIT_POLICY=default"; // that no user has set it
  if (getauxval(AT_BASE) == 0) return; // started through the loader, which is /proc/self/exe then
  size_t count = 0;
  for (; environment[count] != nullptr; ++count) {
    if (names(environment[count], "OMP_WAIT_POLICY=") || names(environment[count], "GOMP_SPINCOUNT="))
      return;
  }
  auto with = static_cast<char**>(alloca((count + 3) * sizeof(char*)));
  std::memcpy(with, environment, count * sizeof(char*));
  with[count] = passive;
  with[count + 1] = mark;
  with[count + 2] = nullptr;
  char program[4096];
  ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
  if (length <= 0) return;
  program[length] = '\0';
  execve(program, argv, with); // returns where that fails: then threads spin, and nothing else differs
}

__attribute__((section(".preinit_array"), used)) static auto before_libraries = &wait_passively;
#endif
