// A disk of a test's own: a file system in a file, which can be filled, turned read-only under open
// files as the kernel does after an error, and repaired. It needs root and loop devices.

import { execFileSync } from 'node:child_process';
import {
    chmodSync, closeSync, existsSync, fstatSync, fsyncSync, ftruncateSync, mkdirSync, openSync,
    rmSync, writeFileSync, writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { folder } from './program.mjs';

const PIECE = Buffer.alloc(1 << 20);

const sh = (program, ...args) =>
    execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

const disks = new Set();
process.on('exit', () => disks.forEach((disk) => disk.remove()));

export class Disk {
    /** Makes and mounts one of so many MiB, or says why that cannot be done. */
    static make(mebibytes = 64) {
        const disk = new Disk();
        const dir = folder();
        chmodSync(dir, 0o755); // others (a server's user) may go through
        disk.image = join(dir, 'image');
        disk.path = join(dir, 'disk');
        const fd = openSync(disk.image, 'w');
        ftruncateSync(fd, mebibytes << 20);
        closeSync(fd);
        mkdirSync(disk.path);
        try {
            sh('mkfs.ext4', '-q', '-m', '0', disk.image);
            disk.#mount();
        } catch (error) {
            return { missing: `no disk can be made: ${error.stderr ?? error.message}` };
        }
        disks.add(disk);
        return disk;
    }

    #mount() {
        sh('mount', '-o', 'loop,errors=remount-ro', this.image, this.path);
        this.device = sh('findmnt', '-n', '-o', 'SOURCE', this.path).trim().split('/').pop();
        this.control = `/sys/fs/ext4/${this.device}/trigger_fs_error`;
    }

    /** Takes all of its space. */
    fill() {
        const fd = openSync(join(this.path, 'ballast'), 'a');
        for (const size of [PIECE.length, 4096]) {
            try {
                for (;;) {
                    writeSync(fd, PIECE, 0, size);
                    fsyncSync(fd);
                }
            } catch (error) {
                if (error.code !== 'ENOSPC') {
                    throw error;
                }
            }
        }
        const { size } = fstatSync(fd);
        closeSync(fd);
        return size;
    }

    /** Gives the space back, for good: a repair would bring back what is not on the disk yet. */
    free() {
        rmSync(join(this.path, 'ballast'));
        sh('sync', '-f', this.path);
    }

    /** Whether the kernel can be told of an error. */
    get breaks() {
        return existsSync(this.control);
    }

    /** The kernel finds an error: from now on the file system is read-only, for open files too. */
    turnReadOnly() {
        writeFileSync(this.control, 'found by a test\n');
    }

    /** Unmounts, checks and mounts again; nobody may have a file of it open. */
    repair() {
        sh('umount', this.path);
        try {
            sh('e2fsck', '-fy', this.image);
        } catch (error) {
            if (error.status !== 1) { // 1: mended
                throw error;
            }
        }
        this.#mount();
    }

    /** Lets nobody write a file, whoever has it open, or everybody again. */
    setImmutable(paths, on) {
        sh('chattr', on ? '+i' : '-i', ...paths.filter((path) => existsSync(path)));
        sh('sync', '-f', this.path);
    }

    remove() {
        disks.delete(this);
        try {
            sh('umount', '-l', this.path);
        } catch {
            // it was not mounted
        }
    }
}
