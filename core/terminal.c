/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

void duet_terminal_raw_again(const DuetTerminal *terminal)
{
    struct termios raw = terminal->before;
    if (terminal->fd < 0)
        return;
    if (terminal->keys)
        cfmakeraw(&raw);
    else
        raw.c_oflag &= ~(tcflag_t)OPOST;
    tcsetattr(terminal->fd, TCSANOW, &raw);
}

void duet_terminal_raw(DuetTerminal *terminal, int input_fd, int output_fd)
{
    terminal->keys = input_fd >= 0 && tcgetattr(input_fd, &terminal->before) == 0;
    terminal->fd = terminal->keys ? input_fd : output_fd;
    if (!terminal->keys && (output_fd < 0 || tcgetattr(output_fd, &terminal->before) < 0))
        terminal->fd = -1;
    duet_terminal_raw_again(terminal);
}

void duet_terminal_restore(DuetTerminal *terminal)
{
    if (terminal->fd < 0)
        return;
    /* Else who does it in the background is stopped. */
    sigset_t output, old;
    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    sigprocmask(SIG_BLOCK, &output, &old);
    tcsetattr(terminal->fd, TCSANOW, &terminal->before);
    sigprocmask(SIG_SETMASK, &old, NULL);
    terminal->fd = -1;
}

guint32 duet_terminal_window(int first_fd, int second_fd)
{
    struct winsize size = { 0 };
    if ((first_fd < 0 || ioctl(first_fd, TIOCGWINSZ, &size) < 0) &&
        (second_fd < 0 || ioctl(second_fd, TIOCGWINSZ, &size) < 0))
        return 0;
    return size.ws_row | (guint32)size.ws_col << 16;
}
