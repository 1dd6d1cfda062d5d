// Which level this CPU runs: 0 generic, 1 AVX2 with FMA, 2 AVX-512. Compiled for any machine of the architecture.

extern "C" __attribute__((visibility("default"))) int smrdsl_level() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0;
    bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
    return wide ? 2 : 1;
#else
    return 0;
#endif
}
