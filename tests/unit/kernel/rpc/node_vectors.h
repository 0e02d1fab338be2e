/*
 * node_vectors.h: what a node (anvil 1.7.1) said about one block: block 2 of a fresh chain
 * with genesis time 1700000000, and in it one transaction to a contract that emits two logs,
 * LOG2(word 2; 0xaa, 0xbb) and LOG1(nothing; 0xaa).
 */
#ifndef UNIT_NODE_VECTORS_H
#define UNIT_NODE_VECTORS_H

#define NODE_BLOCK                                                                                 \
    "{\"hash\":\"0xf3d5725091be92fc584ffe4306d6a18b89a82eda302e849dcb09a84066bfbcc8\",\"paren"     \
    "tHash\":\"0xc06385ac45ecba2f2ef720095ce8b71d335ba2ba3e1efeea3a00b5f8c35a3278\",\"sha3Unc"     \
    "les\":\"0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347\",\"miner\":"      \
    "\"0x0000000000000000000000000000000000000000\",\"stateRoot\":\"0xcc78df86fe1e09a01c11708"     \
    "c9654ac5bc4040b49b41e22c7c6a38d4189be4fb8\",\"transactionsRoot\":\"0xe4bdcd59f272ae55f81"     \
    "9315244db4d2fcf830f49d470b587ce666bcfc50bfdd8\",\"receiptsRoot\":\"0x98b2245502f0981f6b4"     \
    "f6ab57ce8278001557ba67e7314abd118892a876efbb8\",\"logsBloom\":\"0x0000000000000000000000"     \
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"     \
    "0000000000000000000000020000000000000000000000002000000000000000000000000000002000000000"     \
    "4000000000000000000000000000000000000000000000000000000000000000010000000000000000000000"     \
    "0000000000000000000000000200000000000000000000000000000000000000000000000000000000000000"     \
    "0000000000000000400000000000000000000000000000080000000000000000000000000000000000000000"     \
    "00000080000000000000000000000000000000000000000000\",\"difficulty\":\"0x0\",\"number\":"      \
    "\"0x2\",\"gasLimit\":\"0x1c9c380\",\"gasUsed\":\"0x5a7c\",\"timestamp\":\"0x6553f100\","      \
    "\"extraData\":\"0x\",\"mixHash\":\"0x2d1769d7285f0143351dde4b3a42e3b517ab88351c1df3378b2"     \
    "50fd8e13ffdbd\",\"nonce\":\"0x0000000000000000\",\"baseFeePerGas\":\"0x342ecd20\",\"with"     \
    "drawalsRoot\":\"0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421\",\"b"     \
    "lobGasUsed\":\"0x0\",\"excessBlobGas\":\"0x0\",\"parentBeaconBlockRoot\":\"0x00000000000"     \
    "00000000000000000000000000000000000000000000000000000\",\"requestsHash\":\"0xe3b0c44298f"     \
    "c1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"totalDifficulty\":\"0x0\",\"si"     \
    "ze\":\"0x2dc\",\"uncles\":[],\"transactions\":[\"0x3b7b97ffa6e48848a66c667fb5f3b22505cc4"     \
    "3b9f9d8c42b4341af8297b072e7\"],\"withdrawals\":[]}"

#define NODE_RECEIPT                                                                               \
    "{\"type\":\"0x2\",\"status\":\"0x1\",\"cumulativeGasUsed\":\"0x5a7c\",\"logs\":[{\"addre"     \
    "ss\":\"0x5fbdb2315678afecb367f032d93f642f64180aa3\",\"topics\":[\"0x00000000000000000000"     \
    "000000000000000000000000000000000000000000aa\",\"0x0000000000000000000000000000000000000"     \
    "0000000000000000000000000bb\"],\"data\":\"0x00000000000000000000000000000000000000000000"     \
    "00000000000000000002\",\"blockHash\":\"0xf3d5725091be92fc584ffe4306d6a18b89a82eda302e849"     \
    "dcb09a84066bfbcc8\",\"blockNumber\":\"0x2\",\"blockTimestamp\":\"0x6553f100\",\"transact"     \
    "ionHash\":\"0x3b7b97ffa6e48848a66c667fb5f3b22505cc43b9f9d8c42b4341af8297b072e7\",\"trans"     \
    "actionIndex\":\"0x0\",\"logIndex\":\"0x0\",\"removed\":false},{\"address\":\"0x5fbdb2315"     \
    "678afecb367f032d93f642f64180aa3\",\"topics\":[\"0x00000000000000000000000000000000000000"     \
    "000000000000000000000000aa\"],\"data\":\"0x\",\"blockHash\":\"0xf3d5725091be92fc584ffe43"     \
    "06d6a18b89a82eda302e849dcb09a84066bfbcc8\",\"blockNumber\":\"0x2\",\"blockTimestamp\":\""     \
    "0x6553f100\",\"transactionHash\":\"0x3b7b97ffa6e48848a66c667fb5f3b22505cc43b9f9d8c42b434"     \
    "1af8297b072e7\",\"transactionIndex\":\"0x0\",\"logIndex\":\"0x1\",\"removed\":false}],\""     \
    "logsBloom\":\"0x000000000000000000000000000000000000000000000000000000000000000000000000"     \
    "0000000000000000000000000000000000000000000000000000000000000200000000000000000000000020"     \
    "0000000000000000000000000000200000000040000000000000000000000000000000000000000000000000"     \
    "0000000000000001000000000000000000000000000000000000000000000002000000000000000000000000"     \
    "0000000000000000000000000000000000000000000000000000004000000000000000000000000000000800"     \
    "0000000000000000000000000000000000000000000080000000000000000000000000000000000000000000"     \
    "\",\"transactionHash\":\"0x3b7b97ffa6e48848a66c667fb5f3b22505cc43b9f9d8c42b4341af8297b07"     \
    "2e7\",\"transactionIndex\":\"0x0\",\"blockHash\":\"0xf3d5725091be92fc584ffe4306d6a18b89a"     \
    "82eda302e849dcb09a84066bfbcc8\",\"blockNumber\":\"0x2\",\"gasUsed\":\"0x5a7c\",\"effecti"     \
    "veGasPrice\":\"0x6fc99720\",\"blobGasPrice\":\"0x1\",\"from\":\"0xf39fd6e51aad88f6f4ce6a"     \
    "b8827279cfffb92266\",\"to\":\"0x5fbdb2315678afecb367f032d93f642f64180aa3\",\"contractAdd"     \
    "ress\":null,\"blockTimestamp\":1700000000}"

#define NODE_LOG_0                                                                                 \
    "{\"address\":\"0x5fbdb2315678afecb367f032d93f642f64180aa3\",\"topics\":[\"0x000000000000"     \
    "00000000000000000000000000000000000000000000000000aa\",\"0x00000000000000000000000000000"     \
    "000000000000000000000000000000000bb\"],\"data\":\"0x000000000000000000000000000000000000"     \
    "0000000000000000000000000002\",\"blockHash\":\"0xf3d5725091be92fc584ffe4306d6a18b89a82ed"     \
    "a302e849dcb09a84066bfbcc8\",\"blockNumber\":\"0x2\",\"blockTimestamp\":\"0x6553f100\",\""     \
    "transactionHash\":\"0x3b7b97ffa6e48848a66c667fb5f3b22505cc43b9f9d8c42b4341af8297b072e7\""     \
    ",\"transactionIndex\":\"0x0\",\"logIndex\":\"0x0\",\"removed\":false}"

#define NODE_LOG_1                                                                                 \
    "{\"address\":\"0x5fbdb2315678afecb367f032d93f642f64180aa3\",\"topics\":[\"0x000000000000"     \
    "00000000000000000000000000000000000000000000000000aa\"],\"data\":\"0x\",\"blockHash\":\""     \
    "0xf3d5725091be92fc584ffe4306d6a18b89a82eda302e849dcb09a84066bfbcc8\",\"blockNumber\":\"0"     \
    "x2\",\"blockTimestamp\":\"0x6553f100\",\"transactionHash\":\"0x3b7b97ffa6e48848a66c667fb"     \
    "5f3b22505cc43b9f9d8c42b4341af8297b072e7\",\"transactionIndex\":\"0x0\",\"logIndex\":\"0x"     \
    "1\",\"removed\":false}"

#endif
