// node tests/support/exercised.mjs FOLDER
// Names, after a run of all API tests, each operation that no test had answered with success (FOLDER is what
// EXERCISED was). One "not ok" line each; exit 1 if any.

import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const folder = process.argv[2];
const document = JSON.parse(readFileSync(join(ROOT, 'docs/reference/openapi.json'), 'utf8'));
const seen = new Set(readdirSync(folder)
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').filter((id) => id !== '')));
const all = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item)
    .map(([method, { operationId }]) => ({ name: `${method.toUpperCase()} ${path}`, id: operationId })));
const missing = all.filter(({ id }) => !seen.has(id));
for (const { name, id } of missing) {
    console.log(`not ok - no test exercised ${name} (${id})`);
}
console.log(`# ${all.length - missing.length} of ${all.length} operations answered with success`);
process.exitCode = missing.length > 0 ? 1 : 0;
