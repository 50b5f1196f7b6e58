#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""plain-qemu.py QEMU MEMORY_MIB KERNEL INITRAMFS CMDLINE ROOT_DISK

Boots the same kernel, initramfs and root disk as duet does, by a QEMU command line written by hand, and prints
the nanoseconds from QEMU's start to the agent's first frame.
"""
import os, socket, subprocess, sys, tempfile, time

qemu, memory, kernel, initramfs, cmdline, root = sys.argv[1:]
with tempfile.TemporaryDirectory() as folder:
    channel = folder + "/agent.sock"
    disk = folder + "/rw.img"
    with open(disk, "wb") as image:
        image.truncate(1 << 30)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True)
    argv = [qemu, "-machine", "q35", "-accel", "tcg,tb-size=64", "-cpu", "max", "-smp", "1", "-m", memory,
            "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot", "-kernel", kernel, "-initrd", initramfs,
            "-append", cmdline, "-serial", "file:" + folder + "/console",
            "-device", "virtio-serial-pci-non-transitional",
            "-chardev", f"socket,id=agent,path={channel},server=on,wait=off",
            "-device", "virtserialport,chardev=agent,name=org.duet.agent.0",
            "-drive", f"if=none,id=root,file={root},format=raw,readonly=on",
            "-device", "virtio-blk-pci-non-transitional,drive=root,serial=duet-root",
            "-drive", f"if=none,id=rw,file={disk},format=raw",
            "-device", "virtio-blk-pci-non-transitional,drive=rw,serial=duet-rw"]
    start = time.monotonic_ns()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect(channel)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if process.poll() is not None or time.monotonic_ns() - start > 60e9:
                    sys.exit("QEMU did not come up")
                time.sleep(0.002)
        connection.settimeout(60)
        if not connection.recv(1):
            sys.exit("the channel closed")
        print(time.monotonic_ns() - start)
    finally:
        process.kill()
        process.wait()
