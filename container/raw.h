/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * System calls without a C library. The container's first process shares the monitor's memory until
 * it executes the agent (a copy of the page tables would cost a millisecond), so it shares errno
 * too: whatever it calls must touch neither errno nor any lock. These return -errno.
 *
 * Where there is no assembly for a machine, or a sanitizer wants to see every stack, the child
 * gets a copy of the memory instead and the C library's syscall() is fine.
 */

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RAW_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
    __has_feature(thread_sanitizer)
#define RAW_SANITIZED 1
#endif
#endif

#if (defined(__x86_64__) && defined(__LP64__)) || defined(__aarch64__)
#ifndef RAW_SANITIZED
#define RAW_SHARED_MEMORY 1
#endif
#endif

static inline __attribute__((always_inline)) long raw_call(
    long number, long a, long b, long c, long d, long e, long f)
{
#if defined(RAW_SHARED_MEMORY) && defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(RAW_SHARED_MEMORY) && defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
    long result = syscall(number, a, b, c, d, e, f);
    return result < 0 ? -errno : result;
#endif
}

#define RAW_ARGS_6(n, a, b, c, d, e, f, ...)                                                       \
    raw_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/** raw: raw(SYS_x, arguments...). Returns: the result, or -errno. */
#define raw(...) RAW_ARGS_6(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
