// A bucket for tests: s3rver keeps the objects, and a gate in front of it checks each signature and
// each body by an implementation that is not ours (aws4), because s3rver believes any signature of
// version 4. The gate also does what networks and busy servers do: refuse, delay, cut.

import aws4 from 'aws4';
import { createHash } from 'node:crypto';
import { createServer, request as send } from 'node:http';
import S3rver from 's3rver';
import { folder } from './program.mjs';

const SECRET = 'gate/secret+of=the&bucket';
const KEY_ID = 'GATEKEY';

const failure = (code) => `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code>`
    + '<Message>no</Message><RequestId>1</RequestId></Error>';

export class Bucket {
    static async start({ name = 'bucket' } = {}) {
        const bucket = new Bucket();
        bucket.name = name;
        bucket.log = []; // "METHOD path status"
        bucket.fault = () => undefined; // (request, number) => 'busy' | 'drop' | 'cut'
        bucket.dir = folder();
        bucket.store = new S3rver({ port: 0, address: '127.0.0.1', silent: true,
            directory: bucket.dir, configureBuckets: [{ name }] });
        const { port } = await bucket.store.run();
        bucket.port = port;
        bucket.server = createServer((request, reply) => bucket.#handle(request, reply));
        await new Promise((done) => { bucket.server.listen(0, '127.0.0.1', done); });
        bucket.endpoint = `http://127.0.0.1:${bucket.server.address().port}`;
        return bucket;
    }

    /** The settings that reach it. */
    get settings() {
        return [`--backup.s3_endpoint=${this.endpoint}`, '--backup.s3_path_style=true'];
    }

    /** The credentials, which no command line carries. */
    get env() {
        return { AWS_ACCESS_KEY_ID: KEY_ID, AWS_SECRET_ACCESS_KEY: SECRET };
    }

    #signed(request, body) {
        const headers = Object.fromEntries(
            /SignedHeaders=([^,]+)/.exec(request.headers.authorization)?.[1].split(';')
                .map((name) => [name, request.headers[name]]) ?? []);
        const hash = createHash('sha256').update(body).digest('hex');
        if (request.headers['x-amz-content-sha256'] !== hash) {
            return false;
        }
        const again = aws4.sign({ method: request.method, path: request.url, service: 's3',
            region: 'us-east-1', host: request.headers.host, body, headers,
            // It would add and sign the first two by itself, and leave the last one out.
            extraHeadersToInclude: { range: true },
            extraHeadersToIgnore: { 'content-type': true, 'content-length': true } },
        { accessKeyId: KEY_ID, secretAccessKey: SECRET });
        const signature = (text) => /Signature=([0-9a-f]{64})$/.exec(text)?.[1];
        return signature(again.headers.Authorization) === signature(request.headers.authorization);
    }

    async #handle(request, reply) {
        const chunks = [];
        for await (const chunk of request) {
            chunks.push(chunk);
        }
        const body = Buffer.concat(chunks);
        const fault = this.fault(request, this.log.length);
        const note = (status) => this.log.push(`${request.method} ${request.url} ${status}`);
        if (fault === 'drop') {
            note('dropped');
            request.socket.destroy();
            return;
        }
        if (fault === 'busy') {
            note(503);
            reply.writeHead(503, { 'content-type': 'application/xml' }).end(failure('SlowDown'));
            return;
        }
        if (!this.#signed(request, body)) {
            note(403);
            reply.writeHead(403, { 'content-type': 'application/xml' })
                .end(failure('SignatureDoesNotMatch'));
            return;
        }
        const headers = { ...request.headers, host: `127.0.0.1:${this.port}`,
            authorization: request.headers.authorization.replace(`Credential=${KEY_ID}/`,
                'Credential=S3RVER/') };
        const onward = send({ host: '127.0.0.1', port: this.port, method: request.method,
            path: request.url, headers }, (answer) => {
            note(fault === 'cut' ? 'cut' : answer.statusCode);
            reply.writeHead(answer.statusCode, answer.headers);
            if (fault === 'cut') {
                answer.once('data', (piece) => {
                    reply.write(piece.subarray(0, piece.length >> 1));
                    setTimeout(() => request.socket.destroy(), 20);
                });
                return;
            }
            answer.pipe(reply);
        });
        onward.end(body);
    }

    async stop() {
        this.server.closeAllConnections();
        await new Promise((done) => { this.server.close(done); });
        await this.store.close();
    }
}
