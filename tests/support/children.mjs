// Processes that a test file starts. Whatever a failing test leaves behind is killed when all tests
// of the file have ended: a child that lives on would keep the file, and with it the whole run, from
// ending and from saying what failed.

import { after } from 'node:test';

const running = new Map();

/** A child process that is ended (by default: killed) after the last test if it still runs then. */
export function owned(child, end = () => child.kill('SIGKILL')) {
    running.set(child, end);
    child.on('close', () => running.delete(child));
    return child;
}

const endAll = () => running.forEach((end) => end());

after(endAll);
process.on('exit', endAll);
