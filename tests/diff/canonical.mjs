// Compares our canonical JSON (RFC 8785) with what V8 prints: 2,000 random documents, and doubles
// taken from all bit patterns.
//
//   node tests/diff/canonical.mjs DRIVER [SEED [COUNT]]
//
// DRIVER is the built tests/diff/canonical_driver.c. Exits 1 on the first difference and prints it.
import { spawnSync } from 'node:child_process';

const [driver, seedText = '1', countText = '2000'] = process.argv.slice(2);
if (!driver) {
    console.error('usage: node canonical.mjs DRIVER [SEED [COUNT]]');
    process.exit(2);
}

// A small seeded generator (xorshift64*), so that a failure can be repeated.
let state = (BigInt(seedText) * 0x9e3779b97f4a7c15n + 1n) & 0xffffffffffffffffn;
function bits64() {
    state ^= state >> 12n;
    state ^= (state << 25n) & 0xffffffffffffffffn;
    state ^= state >> 27n;
    return (state * 0x2545f4914f6cdd1dn) & 0xffffffffffffffffn;
}
const below = (bound) => Number(bits64() % BigInt(bound));
const pick = (list) => list[below(list.length)];

const view = new DataView(new ArrayBuffer(8));
function anyDouble() {
    for (;;) {
        view.setBigUint64(0, bits64());
        const value = view.getFloat64(0);
        if (Number.isFinite(value)) {
            return value;
        }
    }
}

function powerOfTwoNeighbour() {
    view.setBigUint64(0, (BigInt(1 + below(2045)) << 52n) + BigInt(below(3)) - 1n);
    return view.getFloat64(0);
}

// A number as text: as V8 prints it, or as other writers do.
function numberText() {
    switch (below(12)) {
    case 0: return String(below(1000));
    case 1: return String(-below(1000000) / 1000);
    case 2: return String(bits64());
    case 3: return `${bits64()}${bits64()}${bits64()}`;
    case 4: return `${below(100)}.${bits64()}`;
    case 5: return `${below(10)}.${below(1000)}E${pick(['', '+', '-'])}${below(300)}`;
    case 6: return pick(['-0', '0.0', '-0e7', '1e21', '1e-7', '1e-6', '5e-324', '2e-324', '1E400']);
    case 7: return String(powerOfTwoNeighbour());
    case 8: return anyDouble().toExponential(20);
    case 9: return anyDouble().toPrecision(1 + below(20));
    default: return String(anyDouble());
    }
}

const codeRanges = [[0, 0x20], [0x20, 0x60], [0x60, 0x80], [0x80, 0x100], [0x2020, 0x20],
                    [0xd7f0, 0x10], [0xe000, 0x20], [0xff00, 0x100], [0x10000, 0x100],
                    [0x1f600, 0x50], [0x10fff0, 0x10]];
function randomString() {
    let text = '';
    for (let length = below(12); length > 0; length--) {
        const [first, size] = pick(codeRanges);
        text += String.fromCodePoint(first + below(size));
    }
    return text;
}

// A string literal with escapes chosen at random among the forms that mean the same.
function stringText(value) {
    let text = '"';
    for (const unit of value.split('')) {
        const code = unit.charCodeAt(0);
        const isSurrogate = code >= 0xd800 && code <= 0xdfff;
        if (!isSurrogate && below(8) === 0) {
            const hex = code.toString(16).padStart(4, '0');
            text += '\\u' + (below(2) ? hex : hex.toUpperCase());
        } else if (unit === '/' && below(2)) {
            text += '\\/';
        } else {
            text += isSurrogate ? unit : JSON.stringify(unit).slice(1, -1);
        }
    }
    return text + '"';
}

const blanks = () => pick(['', '', '', ' ', '\t', ' \t  ']);

function documentText(depth) {
    const kind = below(depth > 0 ? 9 : 5);
    switch (kind) {
    case 0: return pick(['null', 'true', 'false']);
    case 1:
    case 2: return numberText();
    case 3:
    case 4: return stringText(randomString());
    case 5:
    case 6: {
        const items = Array.from({ length: below(6) }, () => documentText(depth - 1));
        return `[${blanks()}${items.join(`${blanks()},${blanks()}`)}${blanks()}]`;
    }
    default: {
        const keys = new Set(Array.from({ length: below(10) }, randomString));
        const members = [...keys].map(
            (key) => `${stringText(key)}${blanks()}:${blanks()}${documentText(depth - 1)}`);
        return `{${blanks()}${members.join(`${blanks()},${blanks()}`)}${blanks()}}`;
    }
    }
}

// Keys sorted as JavaScript compares strings: by UTF-16 code units.
function canonical(value) {
    if (Array.isArray(value)) {
        return `[${value.map(canonical).join(',')}]`;
    }
    if (value !== null && typeof value === 'object') {
        const members = Object.keys(value).sort()
            .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
        return `{${members.join(',')}}`;
    }
    if (typeof value === 'number' && !Number.isFinite(value)) {
        throw new RangeError('beyond a double');
    }
    return JSON.stringify(value);
}

function expected(text) {
    try {
        return canonical(JSON.parse(text));
    } catch (error) {
        if (error instanceof RangeError) {
            return null;
        }
        throw error;
    }
}

const documents = [];
for (let i = 0; i < Number(countText); i++) {
    documents.push(documentText(5));
}
for (let i = 0; i < 20; i++) {
    const numbers = Array.from({ length: 500 }, () => below(3) ? anyDouble() : powerOfTwoNeighbour());
    documents.push(`[${numbers.join(',')}]`);
}

const run = spawnSync(driver, { input: documents.join('\n') + '\n', maxBuffer: 1 << 28 });
if (run.status !== 0) {
    console.error(`the driver failed: ${run.status ?? run.signal}\n${run.stderr}`);
    process.exit(1);
}
const answers = run.stdout.toString('utf8').split('\n');
let refused = 0;
for (const [i, text] of documents.entries()) {
    const wanted = expected(text);
    const agrees = wanted === null ? answers[i].startsWith('error: ') : answers[i] === wanted;
    refused += wanted === null ? 1 : 0;
    if (!agrees) {
        console.error(`document ${i} of seed ${seedText} differs\n  text ${text}\n` +
                      `  V8   ${wanted}\n  ours ${answers[i]}`);
        process.exit(1);
    }
}
console.log(`documents of seed ${seedText}; ${refused} beyond a double are refused by both`);
console.log(`${documents.length} passed, 0 failed`);
