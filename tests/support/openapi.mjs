// Holds every answer of the program under test against its own OpenAPI document, whichever test asked:
// `fetch` of the whole process is wrapped, and answers of daemons that Daemon started are looked at.
// What must be so: the operation declares the status and the media type, the body is as its schema says
// and has no members beyond it, a failure has one of the codes that are declared for its status; and a
// body that was taken is as the document says of bodies, one that lacked something is not.
//
// With EXERCISED=FOLDER each process notes there which operations answered with success;
// tests/support/exercised.mjs says after a whole run which ones no test did.

import { execFileSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

const MEMBERS = new Set(['required', 'additionalProperties', 'enum', 'const']);
const METHODS = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']);
const ajv = formats.default(new Ajv({ strict: false, allErrors: true }));

let document;
let tree;
const origins = new Set();
const exercised = new Set();

// ---- the document ----------------------------------------------------------------------------------------

/** Where a reference of the document leads. */
const resolved = (value) => value?.$ref === undefined ? value
    : resolved(value.$ref.slice(2).split('/').reduce((at, key) => at[key], document));

/** The schema without references, and, if it is closed, without room for members that it does not name. */
function whole(schema, closed) {
    const s = resolved(schema);
    if (Array.isArray(s)) {
        return s.map((one) => whole(one, closed));
    }
    if (s === null || typeof s !== 'object') {
        return s;
    }
    const copy = {};
    for (const [key, value] of Object.entries(s)) {
        copy[key] = key === 'properties'
            ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, whole(one, closed)]))
            : ['items', 'allOf', 'anyOf', 'oneOf', 'additionalProperties'].includes(key)
                ? whole(value, closed && key !== 'allOf') : value;
    }
    if (closed && copy.properties && Object.keys(copy.properties).length > 0) {
        copy.additionalProperties ??= false;
    }
    return copy;
}

/** A tree of path segments: { literals: Map, parameter, operations: { GET: … } }. */
function plant(root, path, method, operation) {
    let node = root;
    for (const segment of path.split('/').filter((s) => s !== '')) {
        if (segment.startsWith('{')) {
            node = node.parameter ??= { literals: new Map(), operations: {} };
        } else {
            if (!node.literals.has(segment)) {
                node.literals.set(segment, { literals: new Map(), operations: {} });
            }
            node = node.literals.get(segment);
        }
    }
    node.operations[method] = operation;
}

function find(node, segments, method, at = 0) {
    if (at === segments.length) {
        return node.operations[method];
    }
    const literal = node.literals.get(segments[at]);
    return (literal && find(literal, segments, method, at + 1))
        ?? (node.parameter && find(node.parameter, segments, method, at + 1));
}

/** Every operation of a document as { id, method, path, aliases, … }. */
export function operationsOf(description) {
    return Object.entries(description.paths).flatMap(([path, item]) => Object.entries(item)
        .map(([method, operation]) => ({ path, method: method.toUpperCase(), id: operation.operationId,
            aliases: operation['x-aliases'] ?? [], operation, compiled: new Map() })));
}

function read(program) {
    if (document) {
        return;
    }
    document = JSON.parse(execFileSync(program, ['openapi'], { encoding: 'utf8', maxBuffer: 64 << 20 }));
    tree = { literals: new Map(), operations: {} };
    for (const operation of operationsOf(document)) {
        for (const path of [operation.path, ...operation.aliases]) {
            plant(tree, path, operation.method, operation);
        }
    }
}

/** Compiles once what an operation says of one of its bodies. */
function validator(operation, key, schema, closed) {
    if (!operation.compiled.has(key)) {
        operation.compiled.set(key, ajv.compile(whole(schema, closed)));
    }
    return operation.compiled.get(key);
}

// ---- one answer ------------------------------------------------------------------------------------------

const typeOf = (headers) => (headers.get('content-type') ?? '').split(';')[0].trim();

function holds(condition, about, what) {
    if (!condition) {
        throw new Error(`the OpenAPI document does not say so: ${about}: ${what}`);
    }
}

function checkBody(operation, key, schema, value, closed, about) {
    const valid = validator(operation, key, schema, closed);
    if (!valid(value)) {
        const errors = valid.errors.map(({ instancePath, message, params }) =>
            `${instancePath} ${message} ${JSON.stringify(params)}`);
        holds(false, about, `${errors.slice(0, 5).join('; ')} in ${JSON.stringify(value).slice(0, 600)}`);
    }
}

/** Notes that an operation answered with success. For tests whose client is not `fetch` (WebSockets, sockets). */
export function noteSuccess(operationId) {
    if (exercised.has(operationId)) {
        return;
    }
    exercised.add(operationId);
    if (process.env.EXERCISED) {
        appendFileSync(join(process.env.EXERCISED, `${process.pid}`), `${operationId}\n`);
    }
}

/** What was taken must be as the document says; what lacked a member or had one too many must not be. */
function checkSent(operation, sent, reply, answer, about) {
    const content = operation.operation.requestBody?.content['application/json'];
    if (!content || typeof sent !== 'string') {
        return;
    }
    const lacking = answer?.field !== undefined && ['missing_field', 'unknown_field'].includes(answer.code);
    if (!reply.ok && !lacking) {
        return;
    }
    const valid = validator(operation, 'sent', content.schema, false);
    const fits = valid(JSON.parse(sent));
    if (reply.ok) {
        // Numbers may be texts and the other way round; the document has the one form that is best.
        const wrong = (valid.errors ?? []).filter((e) => MEMBERS.has(e.keyword));
        holds(fits || wrong.length === 0, about, `a body was taken that is not: ${JSON.stringify(wrong)}`);
    } else {
        holds(!fits, about, `a body was refused that is: ${JSON.stringify(answer)}`);
    }
}

/** Holds an answer against what the document says of the operation. */
async function check(method, url, options, reply) {
    const segments = url.pathname.split('/').filter((s) => s !== '');
    const operation = METHODS.has(method) ? find(tree, segments, method) : undefined;
    if (!operation) {
        return;
    }
    const about = `${method} ${url.pathname} (${operation.id}) ${reply.status}`;
    const type = typeOf(reply.headers);
    const body = type === 'application/json' ? await reply.clone().json() : undefined;
    if (body?.code === 'route_not_found') {
        return; // of a process that does not have this route
    }
    if (reply.status === 431 && body === undefined) {
        return; // headers beyond the buffer of the HTTP library, which has a page of its own for that
    }
    const declared = resolved(operation.operation.responses[reply.status]);
    holds(declared, about, `the status is not declared: ${JSON.stringify(body)}`);
    holds(reply.headers.get('x-request-id'), about, 'there is no X-Request-Id');
    if (declared.content === undefined) {
        holds(type === '', about, `a body of type ${type}`);
    } else {
        const content = declared.content[type] ?? declared.content['*/*'];
        holds(content, about, `the type ${type} is not declared`);
        if (body !== undefined) {
            checkBody(operation, reply.status, content.schema, body, true, about);
        }
    }
    checkSent(operation, options?.body, reply, body, about);
    if (reply.ok) {
        noteSuccess(operation.id);
    }
}

const plainFetch = globalThis.fetch;
async function checkedFetch(input, options) {
    const reply = await plainFetch(input, options);
    if (origins.size > 0) {
        const url = new URL(input instanceof Request ? input.url : input);
        if (origins.has(url.origin)) {
            const method = options?.method ?? (input instanceof Request ? input.method : 'GET');
            await check(method.toUpperCase(), url, options, reply);
        }
    }
    return reply;
}
globalThis.fetch = checkedFetch;

/** From now on answers of this daemon are looked at. */
export function watch(url, program) {
    read(program);
    origins.add(new URL(url).origin);
}
