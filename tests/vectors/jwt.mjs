// Writes tests/vectors/jwt.json with jose, which has nothing of ours: node tests/vectors/jwt.mjs
// The key is that of RFC 8037, appendix A; Ed25519 is deterministic, so that texts are the same each time.

import { writeFileSync } from 'node:fs';
import { SignJWT, importJWK } from 'jose';

const JWK = { kty: 'OKP', crv: 'Ed25519', d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
    x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
const key = await importJWK(JWK, 'EdDSA');
const mac = new TextEncoder().encode('a secret of thirty-two bytes, 256');
const claims = { iss: 'freehold', aud: 'freehold-api', sub: '0x00000000000000000000000000000000000000aa',
    sid: 'ses_1', iat: 1790000000, nbf: 1790000000, exp: 1790000900 };
const HEADER = { alg: 'EdDSA', typ: 'at+jwt', kid: 'k1' };
const signed = (header, signer = key) => new SignJWT(claims).setProtectedHeader(header).sign(signer);
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const good = await signed(HEADER);
const [head, body, signature] = good.split('.');

const vectors = {
    good, publicKey: Buffer.from(JWK.x, 'base64url').toString('hex'),
    privateKey: Buffer.from(JWK.d, 'base64url').toString('hex'),
    claims: JSON.stringify(claims),
    unread: {
        'alg none': `${part({ ...HEADER, alg: 'none' })}.${body}.`,
        'alg none with a signature': `${part({ ...HEADER, alg: 'none' })}.${body}.${signature}`,
        'HS256': await signed({ ...HEADER, alg: 'HS256' }, mac),
        'HS256 under the public key': await signed({ ...HEADER, alg: 'HS256' }, Buffer.from(JWK.x, 'base64url')),
        'another typ': await signed({ ...HEADER, typ: 'JWT' }),
        'no typ': await signed({ alg: 'EdDSA', kid: 'k1' }),
        'no kid': await signed({ alg: 'EdDSA', typ: 'at+jwt' }),
        'a kid that is a path': await signed({ ...HEADER, kid: '../k1' }),
        'a key in the header': await signed({ ...HEADER, jwk: { kty: JWK.kty, crv: JWK.crv, x: JWK.x } }),
        'where to get the key': await signed({ ...HEADER, jku: 'https://example.com/jwks.json' }),
        'no signature': `${head}.${body}.`,
        'two parts': `${head}.${body}`,
        'four parts': `${good}.`,
        'five parts': `${good}..`,
        'a blank': ` ${good}`,
        'a line feed': `${good}\n`,
        'padding': `${good}=`,
        'standard alphabet': good.replace(/[-_]/g, (c) => ({ '-': '+', _: '/' })[c]),
        'claims are a list': `${head}.${part([claims])}.${signature}`,
        'claims are nothing': `${head}..${signature}`,
        'twice the same claim': `${head}.${Buffer.from('{"sub":"a","sub":"b"}').toString('base64url')}.${signature}`,
        'a short signature': `${head}.${body}.${signature.slice(0, -4)}`,
        'empty': '',
    },
    unverified: {
        'other claims': `${head}.${part({ ...claims, sub: '0x00000000000000000000000000000000000000bb' })}.${signature}`,
        'another kid': `${part({ ...HEADER, kid: 'k2' })}.${body}.${signature}`,
        'the same header written otherwise': `${part({ kid: 'k1', typ: 'at+jwt', alg: 'EdDSA' })}.${body}.${signature}`,
        'a signature of zeros': `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
        'a bit of the signature': `${head}.${body}.${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`,
    },
};
writeFileSync(new URL('jwt.json', import.meta.url), `${JSON.stringify(vectors, null, 1)}\n`);
