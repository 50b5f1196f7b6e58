/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/kvm-guest.h"
#include "core/rootless.h"
#include "core/util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/*
 * The guest's memory, all of it below 2 MiB: code, then the page tables that map it onto itself.
 * It runs in 64-bit mode, as a kernel does: there are KVMs without hardware behind them (PVM) that
 * interpret what is no guest of their own kind, a million times slower or not at all, and yet
 * carry out the few instructions of the usual test in real mode.
 */
#define GUEST_BYTES 0x5000u
#define GUEST_CODE 0x1000u
#define GUEST_PML4 0x2000u
#define GUEST_PDPT 0x3000u
#define GUEST_PD 0x4000u
#define GUEST_PORT 0x3f8
#define GUEST_BYTE 0x64
/* KVM_RUN is interrupted that often before the vCPU is given up. */
#define TICKS 5
#define TICK_US 100000

static const uint8_t guest_code[] = {
    0xb9, 0x40, 0x42, 0x0f, 0x00, /*    mov $1000000, %ecx */
    0xff, 0xc9, /* 1: dec %ecx */
    0x75, 0xfc, /*    jnz 1b */
    0x0f, 0x20, 0xd8, /*    mov %cr3, %rax */
    0x0f, 0x22, 0xd8, /*    mov %rax, %cr3 */
    0x66, 0xba, 0xf8, 0x03, /*    mov $GUEST_PORT, %dx */
    0xb0, GUEST_BYTE, /*    mov $GUEST_BYTE, %al */
    0xee, /*    out %al, (%dx) */
    0xf4, /*    hlt */
};

static void on_tick(int signal_number)
{
    (void)signal_number; /* only KVM_RUN's EINTR matters */
}

static void memory_fill(uint8_t *memory)
{
    const uint64_t present_writable = 3;
    const uint64_t large = 0x80;
    const uint64_t entries[][2] = {
        { GUEST_PML4, GUEST_PDPT | present_writable },
        { GUEST_PDPT, GUEST_PD | present_writable },
        { GUEST_PD, present_writable | large },
    };
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        memcpy(memory + entries[i][0], &entries[i][1], sizeof(uint64_t));
    memcpy(memory + GUEST_CODE, guest_code, sizeof guest_code);
}

static int vm_add_memory(int vm)
{
    uint8_t *memory =
        mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    memory_fill(memory);
    struct kvm_userspace_memory_region region = {
        .memory_size = GUEST_BYTES,
        .userspace_addr = (uintptr_t)memory,
    };
    /* Intel before "unrestricted guest" needs these, whatever the guest does; AMD ignores them. */
    uint64_t identity_map = 0xfffbc000;
    ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
    ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000);
    return ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* Without CPUID a vCPU has no long mode. */
static int vcpu_set_cpuid(int kvm, int vcpu)
{
    enum { ENTRIES = 256 };
    union {
        struct kvm_cpuid2 head;
        uint8_t bytes[sizeof(struct kvm_cpuid2) + ENTRIES * sizeof(struct kvm_cpuid_entry2)];
    } cpuid = { .head = { .nent = ENTRIES } };
    if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0)
        return -1;
    return ioctl(vcpu, KVM_SET_CPUID2, &cpuid);
}

static int vcpu_set_up(int kvm, int vcpu)
{
    const struct kvm_segment code = {
        .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
    };
    const struct kvm_segment data = {
        .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
    };
    struct kvm_sregs sregs;
    if (vcpu_set_cpuid(kvm, vcpu) < 0 || ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
        return -1;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr3 = GUEST_PML4;
    sregs.cr4 = 0x20; /* PAE */
    sregs.cr0 = 0x80050033; /* PG, AM, WP, NE, ET, MP, PE */
    sregs.efer = 0x500; /* LMA, LME */
    struct kvm_regs regs = { .rip = GUEST_CODE, .rflags = 2 };
    if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0)
        return -1;
    return ioctl(vcpu, KVM_SET_REGS, &regs);
}

/* Returns: 0 when the guest wrote its byte to its port, else an errno value. */
static int vcpu_run(int vcpu, const struct kvm_run *run)
{
    struct sigaction action = { .sa_handler = on_tick };
    struct itimerval timer = { { 0, TICK_US }, { 0, TICK_US } };
    sigset_t none;
    sigemptyset(&none);
    sigaction(SIGALRM, &action, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    for (int ticks = 0; ticks < TICKS;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0) {
            if (errno != EINTR)
                return errno;
            ticks++;
            continue;
        }
        if (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_OUT &&
            run->io.port == GUEST_PORT)
            return *((const uint8_t *)run + run->io.data_offset) == GUEST_BYTE ? 0 : EILSEQ;
        if (run->exit_reason != KVM_EXIT_INTR)
            return ENOEXEC; /* it shut down, failed entry, or did what the code does not say */
    }
    return ETIMEDOUT;
}

static DuetKvmStage machine_try(int kvm, int *out_err)
{
    int version = ioctl(kvm, KVM_GET_API_VERSION, 0);
    *out_err = version < 0 ? errno : EPROTO;
    if (version != KVM_API_VERSION)
        return DUET_KVM_NO_DEVICE;
    DUET_AUTO_FD vm = ioctl(kvm, KVM_CREATE_VM, 0);
    int run_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    DUET_AUTO_FD vcpu = -1;
    if (vm < 0 || run_bytes < (int)sizeof(struct kvm_run) || vm_add_memory(vm) < 0 ||
        (vcpu = ioctl(vm, KVM_CREATE_VCPU, 0)) < 0 || vcpu_set_up(kvm, vcpu) < 0) {
        *out_err = errno;
        return DUET_KVM_NO_VM;
    }
    const struct kvm_run *run =
        mmap(NULL, (size_t)run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    *out_err = run == MAP_FAILED ? errno : vcpu_run(vcpu, run);
    return *out_err ? DUET_KVM_NO_VCPU : DUET_KVM_RUNS;
}

/* QEMU opens the device by itself, with a uid that owns nothing and the group of the device. */
static int open_as_qemu(const char *device, gid_t group)
{
    const uid_t nobody = 65534;
    if (!duet_is_rootless()) {
        /* The raw calls: the C library's would signal threads that a forked child lacks. */
        gid_t gid = group == (gid_t)-1 ? nobody : group;
        if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
            syscall(SYS_setresuid, nobody, nobody, nobody) < 0)
            return errno;
    }
    DUET_AUTO_FD fd = open(device, O_RDWR | O_CLOEXEC);
    return fd < 0 ? errno : 0;
}

void duet_kvm_guest_run(const char *device, gid_t group, struct duet_kvm_answer *out_answer)
{
    /* O_NONBLOCK: whatever was put there in place of the device, a fifo too, opening returns. */
    DUET_AUTO_FD kvm = open(device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (kvm < 0) {
        out_answer->err = errno;
        out_answer->stage = errno == ENOENT ? DUET_KVM_ABSENT : DUET_KVM_FORBIDDEN;
        return;
    }
    out_answer->stage = machine_try(kvm, &out_answer->err);
    if (out_answer->stage != DUET_KVM_RUNS)
        return;
    out_answer->err = open_as_qemu(device, group);
    if (!out_answer->err)
        out_answer->stage = DUET_KVM_USABLE;
}
