// What BullMQ, pg-boss and graphile-worker take: the peers of bench/jobs.c.
//
//     node bench/jobs-peer.mjs bullmq|pg-boss|graphile-worker many|drain|latency N
//
// `many` adds N jobs in bulk, `drain` does N jobs that do nothing, as fast as the library goes with
// its own batching, `latency` measures from the end of the call that adds a job to the start of its
// handler, which runs in another process. DATABASE_URL and REDIS_PORT say where. Prints JSON lines.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const [who, what, count] = [process.argv[2], process.argv[3], Number(process.argv[4])];
const worker = process.argv[5] === 'worker';
const BULK = 1000;
const now = () => Number(process.hrtime.bigint() / 1000n);
const say = (o) => console.log(JSON.stringify({ kind: 'jobs', what, who, ...o }));
const sleep = (msec) => new Promise((resolve) => setTimeout(resolve, msec));

// Each peer: add(n) adds n jobs in bulk, one(data) adds one durably, work(handler) runs what is
// there and comes, with the settings that its documentation recommends for throughput.
const peers = {
    async bullmq() {
        const { Queue, Worker } = await import('bullmq');
        const connection = { host: '127.0.0.1', port: Number(process.env.REDIS_PORT), maxRetriesPerRequest: null };
        const queue = new Queue('bench', { connection });
        let running;
        return {
            add: (n) => queue.addBulk(Array.from({ length: n }, () => ({
                name: 'nothing', data: { n: 1 }, opts: { removeOnComplete: true } }))),
            one: (data) => queue.add('nothing', data, { removeOnComplete: true }),
            work: async (handler) => {
                running = new Worker('bench', async (job) => handler(job.data), { connection, concurrency: 100 });
                await running.waitUntilReady();
            },
            end: async () => {
                await running?.close();
                await queue.close();
            },
        };
    },
    async 'pg-boss'() {
        const { default: PgBoss } = await import('pg-boss');
        const boss = new PgBoss({ connectionString: process.env.DATABASE_URL, max: 10 });
        boss.on('error', (e) => console.error(e.message));
        await boss.start();
        await boss.createQueue('bench');
        return {
            add: (n) => boss.insert(Array.from({ length: n }, () => ({ name: 'bench', data: { n: 1 } }))),
            one: (data) => boss.send('bench', data),
            work: async (handler) => {
                for (let i = 0; i < 4; i++) {
                    await boss.work('bench', { batchSize: 500, pollingIntervalSeconds: 0.5 }, async (jobs) => {
                        for (const job of jobs) {
                            handler(job.data);
                        }
                    });
                }
            },
            end: () => boss.stop({ graceful: false }),
        };
    },
    async 'graphile-worker'() {
        const { Logger, makeWorkerUtils, run } = await import('graphile-worker');
        const logger = new Logger(() => () => {}); // it says a line a job otherwise
        const connectionString = process.env.DATABASE_URL;
        const utils = await makeWorkerUtils({ connectionString, logger });
        await utils.migrate();
        let runner;
        return {
            add: (n) => utils.addJobs(Array.from({ length: n }, () => ({ identifier: 'nothing', payload: { n: 1 } }))),
            one: (data) => utils.addJob('nothing', data),
            work: async (handler) => {
                runner = await run({
                    preset: {
                        worker: {
                            connectionString, maxPoolSize: 25, concurrentJobs: 24, pollInterval: 1000,
                            localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0,
                            logger,
                        },
                    },
                    logger, noHandleSignals: true,
                    taskList: { nothing: async (payload) => handler(payload) },
                });
            },
            end: async () => {
                await runner?.stop();
                await utils.release();
            },
        };
    },
};

async function many(peer) {
    const began = now();
    for (let left = count; left > 0; left -= BULK) {
        await peer.add(Math.min(left, BULK));
    }
    say({ perSecond: Math.round((count * 1e6) / (now() - began)) });
}

async function drain(peer) {
    let done = 0;
    const began = now();
    await new Promise((resolve) => {
        peer.work(() => {
            if (++done === count) {
                resolve();
            }
        });
    });
    say({ perSecond: Math.round((count * 1e6) / (now() - began)) });
}

// The worker tells when a handler began; both processes read the same monotonic clock.
async function latency(peer) {
    const child = fork(fileURLToPath(import.meta.url), [who, what, String(count), 'worker']);
    const began = new Map();
    await new Promise((resolve) => child.once('message', resolve));
    child.on('message', ({ i, at }) => began.set(i, at));
    await sleep(500);
    const added = [];
    for (let i = 0; i < count; i++) {
        await peer.one({ i });
        added.push(now());
        await sleep(5);
    }
    while (began.size < count) {
        await sleep(10);
    }
    const usec = added.map((at, i) => Math.max(0, began.get(i) - at)).sort((a, b) => a - b);
    say({ p50Usec: usec[Math.floor(count / 2)], p99Usec: usec[Math.floor(count * 0.99)] });
    child.kill();
}

const peer = await peers[who]();
if (worker) {
    await peer.work((data) => process.send({ i: data.i, at: now() }));
    process.send('ready');
} else {
    await { many, drain, latency }[what](peer);
    await peer.end();
    process.exit(0);
}
