// What every method of the client stands on: one request with its retries, lists by cursor, failures.
//
// Trying again. A request is repeated when that cannot do a thing twice: reads; what has an Idempotency-Key,
// which the client makes itself and keeps for all attempts of one call; and whatever was refused before it
// was looked at (429). It is repeated after a failure of the network and after answers whose code says that
// the same request may succeed later, no sooner than Retry-After says.

/** What the generated table knows of an operation. */
export interface Operation {
    method: string;
    path: string;
    query: readonly string[];
    /** Whether it takes an Idempotency-Key. */
    keyed: boolean;
    body: 'none' | 'json' | 'form' | 'bytes';
    answer: 'envelope' | 'list' | 'json' | 'text' | 'response' | 'empty';
}

export interface ClientOptions {
    /** Where the API is, such as http://127.0.0.1:8080. */
    url: string;
    /** An API key, or a function that gives one for each request. */
    token?: string | (() => string | undefined | Promise<string | undefined>) | undefined;
    /** How often a request is tried again at most; 3 unless said. */
    retries?: number | undefined;
    /** Milliseconds before the first repetition, doubled for each further one; 200 unless said. */
    retryDelay?: number | undefined;
    /** Another fetch than the global one. */
    fetch?: typeof globalThis.fetch | undefined;
    retryableCodes: ReadonlySet<string>;
}

export interface CallOptions {
    signal?: AbortSignal | undefined;
    /** The key under which this runs once. Without one the client makes one for the call. */
    idempotencyKey?: string | undefined;
    headers?: Record<string, string> | undefined;
}

export type Input = Record<string, unknown>;

/** One page of a list. */
export interface Page<Data> {
    data: Data;
    /** What the next page is asked by; null at the end. */
    nextCursor: string | null;
    /** How many match in all, where the API knows it. */
    count?: number;
}

/** What the API refused, or could not do. */
export class FreeholdError extends Error {
    override readonly name = 'FreeholdError';

    constructor(
        message: string,
        /** The status of the answer. */
        readonly status: number,
        /** A code of the table of errors; "not_json" for an answer that is not the API's own. */
        readonly code: string,
        /** The id of the request, as the log of the server has it. */
        readonly requestId: string,
        /** The field that is meant, if it is about one. */
        readonly field: string | undefined,
        readonly details: unknown,
        /** Whether the same request may succeed later. */
        readonly retryable: boolean,
        /** Seconds that the API asks to wait. */
        readonly retryAfter: number | undefined,
    ) {
        super(message);
    }
}

type Element<Data> = Data extends readonly (infer Item)[] ? Item : Data;

/**
 * A list that was asked for: awaited it is its first page; iterated over it is everything, page after page
 * (where a page is no array, the pages).
 */
export class Listing<Data> implements PromiseLike<Page<Data>>, AsyncIterable<Element<Data>> {
    constructor(private readonly page: (cursor: string | undefined) => Promise<Page<Data>>) {}

    then<A = Page<Data>, B = never>(
        done?: ((page: Page<Data>) => A | PromiseLike<A>) | null,
        failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
    ): Promise<A | B> {
        return this.page(undefined).then(done, failed);
    }

    async *pages(): AsyncGenerator<Page<Data>, void, undefined> {
        let cursor: string | undefined;
        do {
            const page = await this.page(cursor);
            yield page;
            cursor = page.nextCursor ?? undefined;
        } while (cursor !== undefined);
    }

    async *[Symbol.asyncIterator](): AsyncGenerator<Element<Data>, void, undefined> {
        for await (const { data } of this.pages()) {
            yield* (Array.isArray(data) ? data : [data]) as Element<Data>[];
        }
    }
}

const RETRY_DELAY_MAX = 30_000;

function newKey(): string {
    const random = () => Math.random().toString(36).slice(2);
    return globalThis.crypto?.randomUUID?.() ?? `${Date.now().toString(36)}-${random()}${random()}`;
}

function rest(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((done, fail) => {
        const stop = (): void => {
            clearTimeout(timer);
            fail(signal?.reason);
        };
        const timer = setTimeout(() => {
            signal?.removeEventListener('abort', stop);
            done();
        }, milliseconds);
        signal?.addEventListener('abort', stop, { once: true });
    });
}

function pathOf(operation: Operation, input: Input): string {
    return operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
        const value = String(input[name] ?? '');
        if (value === '' || value === '.' || value === '..') {
            throw new TypeError(`${name} cannot be "${value}"`);
        }
        return encodeURIComponent(value);
    });
}

function queryOf(operation: Operation, input: Input): string {
    const query = new URLSearchParams();
    for (const name of operation.query) {
        if (input[name] !== undefined) {
            query.append(name, String(input[name]));
        }
    }
    const text = query.toString();
    return text === '' ? '' : `?${text}`;
}

export class Client {
    readonly #options: ClientOptions;
    readonly #fetch: typeof globalThis.fetch;

    constructor(options: ClientOptions) {
        this.#options = { ...options, url: options.url.replace(/\/+$/, '') };
        this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    }

    /** Calls an operation and returns what it answers with. */
    protected async call<Data>(operation: Operation, input: Input, options: CallOptions): Promise<Data> {
        const reply = await this.#reply(operation, input, options);
        switch (operation.answer) {
        case 'empty':
            return undefined as Data;
        case 'text':
            return await reply.text() as Data;
        case 'response':
            return reply as Data;
        case 'json':
            return await reply.json() as Data;
        case 'envelope':
        case 'list':
            return (await reply.json() as { data: Data }).data;
        }
    }

    /** Asks for a list; nothing is sent before it is awaited or iterated over. */
    protected list<Data>(operation: Operation, input: Input, options: CallOptions): Listing<Data> {
        return new Listing<Data>(async (cursor) => {
            const { offset, ...onwards } = input;
            const asked = cursor === undefined ? input : { ...onwards, cursor };
            const reply = await this.#reply(operation, asked, options);
            const { data, nextCursor, count } = await reply.json() as Page<Data>;
            return { data, nextCursor, ...(count === undefined ? {} : { count }) };
        });
    }

    async #headers(operation: Operation, options: CallOptions): Promise<Record<string, string>> {
        const { token } = this.#options;
        const sent = typeof token === 'function' ? await token() : token;
        return {
            ...(sent === undefined ? {} : { authorization: `Bearer ${sent}` }),
            ...(operation.body === 'json' ? { 'content-type': 'application/json' } : {}),
            ...(operation.keyed && options.idempotencyKey !== undefined
                ? { 'idempotency-key': options.idempotencyKey } : {}),
            ...options.headers,
        };
    }

    /** Sends until it succeeds or must not be tried again. */
    async #reply(operation: Operation, input: Input, options: CallOptions): Promise<Response> {
        const kept = { ...options, idempotencyKey: options.idempotencyKey ?? newKey() };
        const url = this.#options.url + pathOf(operation, input) + queryOf(operation, input);
        const repeatable = operation.method === 'GET' || operation.keyed;
        const retries = this.#options.retries ?? 3;
        for (let attempt = 0; ; attempt++) {
            let failure: unknown;
            let wait = Math.min((this.#options.retryDelay ?? 200) * 2 ** attempt, RETRY_DELAY_MAX)
                * (0.5 + Math.random() / 2);
            try {
                const reply = await this.#send(url, operation, input, kept);
                if (reply.ok) {
                    return reply;
                }
                const error = await this.#failure(reply);
                if (!error.retryable || !(repeatable || error.status === 429)) {
                    throw error;
                }
                wait = Math.max(wait, (error.retryAfter ?? 0) * 1000);
                failure = error;
            } catch (reason) {
                const refused = reason instanceof FreeholdError;
                if (refused || options.signal?.aborted || !repeatable || !(reason instanceof TypeError)) {
                    throw reason;
                }
                failure = reason;
            }
            if (attempt >= retries) {
                throw failure;
            }
            await rest(wait, options.signal);
        }
    }

    async #send(url: string, operation: Operation, input: Input, options: CallOptions): Promise<Response> {
        const headers = await this.#headers(operation, options);
        const body = operation.body === 'none' ? undefined
            : operation.body === 'json' ? JSON.stringify(input.body) : input.body as BodyInit;
        return this.#fetch(url, {
            method: operation.method,
            headers,
            ...(body === undefined ? {} : { body }),
            ...(options.signal === undefined ? {} : { signal: options.signal }),
        });
    }

    async #failure(reply: Response): Promise<FreeholdError> {
        const text = await reply.text();
        let said: { error?: string; code?: string; field?: string; details?: unknown; requestId?: string };
        try {
            said = JSON.parse(text) as typeof said;
        } catch {
            said = {};
        }
        const after = Number(reply.headers.get('retry-after') ?? NaN);
        const code = said.code ?? 'not_json';
        return new FreeholdError(
            said.error ?? `The answer has the status ${reply.status} and is not the API's own.`,
            reply.status, code, said.requestId ?? reply.headers.get('x-request-id') ?? '', said.field,
            said.details, this.#options.retryableCodes.has(code), Number.isFinite(after) ? after : undefined,
        );
    }
}
