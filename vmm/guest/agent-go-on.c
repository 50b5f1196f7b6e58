/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a guest takes over when it goes on after a save: the time, a name if it is a clone, and
 * randomness of its own: others may go on from the same memory. */

#include "agent-guest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ENTROPY_MAX_BYTES 256

/* <linux/random.h>, repeated so that the agent compiles without kernel headers. */
#ifndef RNDADDENTROPY
#define RNDADDENTROPY _IOW('R', 0x03, int[2])
#endif
#ifndef RNDRESEEDCRNG
#define RNDRESEEDCRNG _IO('R', 0x07)
#endif
struct pool_info {
    int bits, bytes;
    unsigned char buffer[ENTROPY_MAX_BYTES];
};

static void set_clock(uint64_t ns, struct agent_text *error)
{
    struct timespec now = {
        .tv_sec = (time_t)(ns / 1000000000u),
        .tv_nsec = (long)(ns % 1000000000u),
    };

    if (clock_settime(CLOCK_REALTIME, &now) < 0)
        agent_text_fail(error, "cannot set the clock", "CLOCK_REALTIME", errno);
}

/* Into the pool, and at once from there into what everybody reads. */
static void add_entropy(const uint8_t *bytes, size_t length, struct agent_text *error)
{
    struct pool_info info = { .bits = (int)length * 8, .bytes = (int)length };
    int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);

    memcpy(info.buffer, bytes, length);
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, &info) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0)
        agent_text_fail(error, "cannot add entropy to", "/dev/urandom", errno);
    if (fd >= 0)
        close(fd);
}

void agent_take_over(const uint8_t *fields, size_t size, struct agent_text *error)
{
    size_t cursor = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;

    while (duet_field_next(fields, size, &cursor, &tag, &bytes, &length) > 0) {
        if (tag == DUET_FIELD_TIME && length == 8)
            set_clock(duet_get_u64(bytes), error);
        else if (tag == DUET_FIELD_ENTROPY && length <= ENTROPY_MAX_BYTES)
            add_entropy(bytes, length, error);
        else if (tag == DUET_FIELD_HOSTNAME && sethostname((const char *)bytes, length) < 0)
            agent_text_fail(error, "cannot set", "the host name", errno);
    }
}

void agent_guest_go_on(struct agent *agent, const struct duet_frame *frame)
{
    struct agent_text error = { 0 };

    agent_take_over(frame->payload, frame->length, &error);
    if (error.length)
        agent_guest_say(agent, error.bytes);
}
