#!/usr/bin/env node
// Signs a 32-byte digest, for trying the API from a shell.
//
//     node tools/sign-digest.mjs KEY DIGEST
//
// KEY is a private key (0x and 64 hexadecimal digits), or dev:N for account N of the public
// development mnemonic, which everybody knows. A key on a command line is seen by every process of
// the machine: real wallets sign in real wallets.
import { HDNodeWallet, SigningKey, isHexString } from 'ethers';

const MNEMONIC = 'test test test test test test test test test test test junk';

function privateKey(text) {
    const dev = /^dev:([0-9])$/.exec(text ?? '');
    if (dev) {
        return HDNodeWallet.fromPhrase(MNEMONIC, undefined, `m/44'/60'/0'/0/${dev[1]}`).privateKey;
    }
    return isHexString(text, 32) ? text : undefined;
}

const [keyText, digest, ...rest] = process.argv.slice(2);
const key = privateKey(keyText);
if (key === undefined || !isHexString(digest, 32) || rest.length > 0) {
    console.error('usage: node tools/sign-digest.mjs 0xKEY|dev:0…dev:9 0xDIGEST');
    process.exit(2);
}
console.log(new SigningKey(key).sign(digest).serialized);
