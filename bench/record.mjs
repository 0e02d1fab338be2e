// Sections of docs/performance.md that have measuring programs of their own, between marks.
import { readFileSync, writeFileSync } from 'node:fs';

const PATH = 'docs/performance.md';

/** The sections between marks, as they stand; bench/run keeps them when it writes the rest. */
export function sections(text = readFileSync(PATH, 'utf8')) {
    return [...text.matchAll(/<!-- begin (\w+) -->\n[^]*?<!-- end \1 -->\n/g)].map(([all]) => all);
}

/** Prints a section, and with `keep` puts it in the place of the one that has its name. */
export async function record(name, keep, markdown) {
    process.stdout.write(markdown);
    if (!keep) {
        return;
    }
    const section = `<!-- begin ${name} -->\n${markdown.trim()}\n<!-- end ${name} -->\n`;
    const text = readFileSync(PATH, 'utf8');
    const old = sections(text).find((all) => all.startsWith(`<!-- begin ${name} -->`));
    writeFileSync(PATH, old ? text.replace(old, () => section) : `${text.trimEnd()}\n\n${section}`);
    process.stderr.write(`bench: wrote the section ${name} of ${PATH}\n`);
}
