// Writes tests/vectors/siwe.json: messages of EIP-4361 by siwe and by viem, signatures by viem, and for bent
// messages the verdict of siwe's parser, which is generated from the ABNF of the standard: node tests/vectors/siwe.mjs

import { writeFileSync } from 'node:fs';
import { ParsedMessage } from '@spruceid/siwe-parser';
import { SiweMessage } from 'siwe';
import { privateKeyToAccount } from 'viem/accounts';
import { createSiweMessage } from 'viem/siwe';

// The first account of the mnemonic that development chains use.
const account = privateKeyToAccount('0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80');
const { address } = account;
const ISSUED = '2026-11-28T08:00:00.000Z';
const base = { domain: 'app.example.com', address, uri: 'https://app.example.com/login', version: '1', chainId: 31337,
    nonce: 'f00dF00D12345678' };
const dates = { issuedAt: ISSUED, expirationTime: '2026-11-28T08:05:00.000Z', notBefore: '2026-11-28T07:59:59.000Z' };
const shapes = {
    plain: { issuedAt: ISSUED },
    statement: { issuedAt: ISSUED, statement: 'Sign in to lease assets: see https://app.example.com/terms?v=1#2 (once).' },
    times: dates,
    everything: { ...dates, statement: 'All of it', requestId: 'req-1:@%20', scheme: 'https',
        resources: ['https://example.com/a?b=c#d', 'ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/'] },
    'a port': { issuedAt: ISSUED, domain: 'localhost:5173', uri: 'http://localhost:5173' },
    'an IPv6 host': { issuedAt: ISSUED, domain: '[::1]:8080', uri: 'http://[::1]:8080/' },
    'a urn': { issuedAt: ISSUED, uri: 'urn:example:animal:ferret:nose' },
    'no resources in the list': { issuedAt: ISSUED, resources: [] },
};

const good = [];
for (const [name, shape] of Object.entries(shapes)) {
    const all = { ...base, ...shape };
    const date = (v) => v && new Date(v);
    const texts = { siwe: new SiweMessage(all).prepareMessage() };
    if (!['no resources in the list', 'a urn', 'an IPv6 host'].includes(name)) { // viem takes fewer URIs
        texts.viem = createSiweMessage({ ...all, issuedAt: date(all.issuedAt), expirationTime: date(all.expirationTime),
            notBefore: date(all.notBefore) });
    }
    for (const [by, text] of Object.entries(texts)) {
        const parsed = new ParsedMessage(text);
        good.push({ name: `${name}, by ${by}`, text, signature: await account.signMessage({ message: text }),
            scheme: parsed.scheme ?? '', domain: parsed.domain, address: parsed.address,
            statement: parsed.statement ?? '', uri: parsed.uri, chainId: parsed.chainId, nonce: parsed.nonce,
            issuedSec: Date.parse(parsed.issuedAt) / 1000,
            expiresSec: parsed.expirationTime ? Date.parse(parsed.expirationTime) / 1000 : 0,
            notBeforeSec: parsed.notBefore ? Date.parse(parsed.notBefore) / 1000 : 0,
            requestId: parsed.requestId ?? '', resources: parsed.resources?.length ?? 0 });
    }
}

const whole = good.find((v) => v.name === 'everything, by siwe').text;
const plain = good.find((v) => v.name === 'plain, by siwe').text;
const lines = whole.split('\n');
const bent = {
    'empty': '', 'a line feed at the end': `${plain}\n`, 'a blank at the end': `${plain} `,
    'carriage returns': plain.replaceAll('\n', '\r\n'), 'a blank before': ` ${plain}`,
    'no domain': plain.replace('app.example.com wants', ' wants'),
    'a domain with a blank': plain.replace('app.example.com', 'app example.com'),
    'a domain with a path': plain.replace('app.example.com', 'app.example.com/x'),
    'a user in the domain': plain.replace('app.example.com', 'evil@app.example.com'),
    'a scheme of digits': plain.replace('app.example.com', '1http://app.example.com'),
    'another sentence': plain.replace('wants you to sign', 'wants you to log'),
    'lower case': plain.replace(address, address.toLowerCase()),
    'a wrong checksum': plain.replace(address, address.replace('F', 'f')),
    'a short address': plain.replace(address, address.slice(0, -1)),
    'an address without 0x': plain.replace(address, address.slice(2)),
    'one empty line': plain.replace('\n\n\n', '\n\n'),
    'three empty lines': plain.replace('\n\n\n', '\n\n\n\n'),
    'a statement of two lines': whole.replace('All of it', 'All\nof it'),
    'a statement with a quote': whole.replace('All of it', 'All "of" it'),
    'a statement with a per cent sign': whole.replace('All of it', 'All 100%'),
    'a statement with an umlaut': whole.replace('All of it', 'All \u00fcber'),
    'a statement with a tab': whole.replace('All of it', 'All\tof it'),
    'a relative URI': plain.replace('URI: https://app.example.com/login', 'URI: /login'),
    'a URI with a blank': plain.replace('/login', '/log in'),
    'a URI with a bad escape': plain.replace('/login', '/%zz'),
    'a URI with two fragments': plain.replace('/login', '/#a#b'),
    'version 2': plain.replace('Version: 1', 'Version: 2'), 'version 10': plain.replace('Version: 1', 'Version: 10'),
    'no version': plain.replace('Version: 1\n', ''),
    'a hexadecimal chain': plain.replace('31337', '0x7a69'), 'no chain': plain.replace('31337', ''),
    'a negative chain': plain.replace('31337', '-1'),
    'a short nonce': plain.replace(base.nonce, 'f00dF00'), 'a nonce of 8': plain.replace(base.nonce, 'f00dF00D'),
    'a nonce with a sign': plain.replace(base.nonce, 'f00d-F00D'),
    'no issued at': plain.replace(/\nIssued At:.*/, ''),
    'a time without a zone': plain.replace(ISSUED, '2026-11-28T08:00:00'),
    'a day without a time': plain.replace(ISSUED, '2026-11-28'),
    'a thirteenth month': plain.replace(ISSUED, '2026-13-28T08:00:00Z'),
    'an offset': plain.replace(ISSUED, '2026-11-28T10:00:00+02:00'),
    'labels in lower case': plain.replace('Nonce:', 'nonce:'), 'a label without a blank': plain.replace('Nonce: ', 'Nonce:'),
    'swapped lines': plain.replace(/(Version: 1)\n(Chain ID: 31337)/, '$2\n$1'),
    'the nonce twice': plain.replace(/(Nonce: .*)/, '$1\n$1'),
    'a line more': `${plain}\nAdmin: true`, 'an empty request id': `${plain}\nRequest ID: `,
    'a request id with a slash': `${plain}\nRequest ID: a/b`,
    'resources on one line': whole.replace('Resources:\n', 'Resources: '),
    'a resource that is no URI': `${whole}\n- nothing`, 'a resource without a dash': `${whole}\nhttps://example.com`,
    'a blank line within the resources': whole.replace('\n- ipfs', '\n\n- ipfs'),
    ...Object.fromEntries(lines.map((_, i) => [`without line ${i + 1}`, lines.filter((__, j) => i !== j).join('\n')])),
    ...Object.fromEntries(lines.map((line, i) => [`cut in line ${i + 1}`,
        [...lines.slice(0, i), line.slice(0, Math.floor(line.length / 2))].join('\n')])),
};
const verdicts = Object.entries(bent).map(([name, text]) => {
    try {
        new ParsedMessage(text);
        return { name, text, taken: true };
    } catch {
        return { name, text, taken: false };
    }
});
writeFileSync(new URL('siwe.json', import.meta.url), `${JSON.stringify({ good, bent: verdicts }, null, 1)}\n`);
